from __future__ import annotations

import base64
import hashlib

from zsad_demo.guard.headers import script_hashes, security_headers


def test_scripts_of_a_page_are_allowed_one_by_one() -> None:
    sourced = b'<script type="module" src="x.js"></script>'
    page = b'<script>let a = "<b>";</script>' + sourced + b"<SCRIPT id=x>\nb\n</SCRIPT>"
    wanted = [f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
              for text in (b'let a = "<b>";', b"\nb\n")]  # fmt: skip
    assert list(script_hashes(page)) == wanted
    policy = dict(security_headers(script_hashes(page)))[b"content-security-policy"].decode()
    scripts = next(rule for rule in policy.split("; ") if rule.startswith("script-src"))
    assert scripts.split()[1:] == ["'self'", "'unsafe-eval'", *wanted]
    assert "frame-ancestors 'none'" in policy
