"""The command `rnnfast`: one module per subcommand, with `add_arguments(parser)` and `run(arguments)`."""
