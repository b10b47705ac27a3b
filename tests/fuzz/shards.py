def prepare(): pass
def check(rng, folder): return ""
