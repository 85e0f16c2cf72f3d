"""The command line: reads options, calls the library, prints. May import everything."""
