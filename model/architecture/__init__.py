"""The mixture of experts: sizes, routers, Hunyuan-Large's layers, the head's loss, experts shared among ranks."""
