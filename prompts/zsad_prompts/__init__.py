"""Prompt data as YAML: state words, templates, fine-grained descriptions and nouns of dataset folders."""
