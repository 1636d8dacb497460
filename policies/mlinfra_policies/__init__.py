"""The shipped policy rules: `catalogue.json` says what each demands, `families/` decides, `examples/` shows."""
