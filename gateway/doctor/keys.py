"""Whether the JWK Set of the tokens can be read, and has keys."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from gateway.app.jwks_source import MAX_BYTES, file_document
from gateway.app.keys import NoKeys, read_set
from gateway.doctor.finding import Finding
from gateway.settings import TokenSection


def key_set(section: TokenSection) -> Finding:
    what = f"app.token {'jwks_url' if section.jwks_url else 'jwks_file'}"
    try:
        found = read_set(_text(section))
    except (NoKeys, OSError, HTTPException, ValueError) as e:
        reason = getattr(e, "reason", None) or e
        mend = "mend what is there, or the settings that name it"
        return Finding(what, "fail", f"{section.jwks_url or section.jwks_file}: {reason}", mend)
    return Finding(what, "ok", f"keys: {len(found)}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """The daemon follows none."""


def _text(section: TokenSection) -> bytes:
    if section.jwks_url is None:
        assert section.jwks_file is not None  # the settings see to it
        return file_document(section.jwks_file).text
    context = ssl.create_default_context(cafile=section.jwks_ca_file)
    secure = urllib.request.HTTPSHandler(context=context)
    no_proxy = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(secure, no_proxy, _NoRedirects())
    with opener.open(section.jwks_url, timeout=section.jwks_fetch_s) as answer:
        text: bytes = answer.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise NoKeys(f"has more than {MAX_BYTES} octets")
    return text
