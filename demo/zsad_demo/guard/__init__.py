"""What stands between the network and Gradio.

:mod:`~zsad_demo.guard.middleware` sees every request first and asks one file each: who asks
(:mod:`~zsad_demo.guard.visitors`), under which name (:mod:`~zsad_demo.guard.hosts`), for what
(:mod:`~zsad_demo.guard.routes`), with which password (:mod:`~zsad_demo.guard.logins`), and how much of the
disk and of the queue is already theirs (:mod:`~zsad_demo.guard.disk`, :mod:`~zsad_demo.guard.sessions`).
"""
