"""The Gradio app behind ``zsad demo``."""
