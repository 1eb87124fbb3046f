"""``python -m fhpt_eval`` is the command ``fhpt-eval``."""

from fhpt_eval.cli.main import main

main()
