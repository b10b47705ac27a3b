"""The console tool `corpusmill`: the one door to every question about a run, and to the run itself on one machine.

options.py    the options that commands share, each spelled once
run.py        what starts Spark: run, remove, and the stages' jobs; and what is asked before a run
look.py       what looks at outputs
page.py       what takes a saved page or published lists
app.py        the commands in the order of `--help`, and the exit codes

A command is a plain function: `app.main` makes the whole tool of them, or the one command of a job. Commands import what they
need when they are called, so that `corpusmill --help` is quick.
"""
