"""The Gradio app behind ``zsad demo``.

The computing (:mod:`~zsad_demo.engine`, :mod:`~zsad_demo.inspection`, :mod:`~zsad_demo.drawing` and their
neighbours) knows nothing of Gradio. Every tab is a file of :mod:`zsad_demo.tabs` whose callbacks are plain
methods; :mod:`~zsad_demo.app` puts the tabs together and :mod:`~zsad_demo.server` serves them.
"""
