"""What browsers are told with every answer: whom to ask for scripts and pictures, and who may frame it."""

from __future__ import annotations

import base64
import hashlib
import re

_INLINE = re.compile(rb"<script\b(?![^>]*\bsrc\s*=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)

FIXED = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(), microphone=(), payment=(), usb=()"),
)


def security_headers(scripts: tuple[str, ...] = (), frames: str = "'none'") -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer.

    Gradio's page evaluates the small scripts of its events and sets styles as it goes, which is why these
    two are allowed; no script in the page runs that was not in it when it left the server.

    Args:
        scripts: Hashes of the scripts in the page, from :func:`script_hashes`.
        frames: Who may frame the page, as ``frame-ancestors`` has it.
    """
    rules = {
        "default-src": "'self'",
        "script-src": " ".join(("'self'", "'unsafe-eval'", *scripts)),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": frames,
    }
    policy = "; ".join(f"{name} {value}" for name, value in rules.items())
    return [*FIXED, (b"content-security-policy", policy.encode())]


def script_hashes(page: bytes) -> tuple[str, ...]:
    """Return the hashes by which a policy allows the scripts that stand in a page."""
    found = dict.fromkeys(hashlib.sha256(script).digest() for script in _INLINE.findall(page))
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in found)
