"""The form for bundles. What becomes of one is decided by its signer, whoever sends it."""

from __future__ import annotations

from modseal import limits
from modseal.report.host_html.parts import HostPage, Values, warning
from modseal.report.html import Markup, element, joined
from modseal.serve.shown import ACTION, DRY_RUN, TOKEN, Shown


def page(shown: Shown) -> HostPage:
    """For whoever may install."""
    main = joined(
        element("h1", "Upload bundles"),
        element("p", _LEAD, class_="lead"),
        _locked(shown.documents["keys"], shown.who),
        element(
            "form",
            element("input", type="hidden", name=TOKEN, value=shown.token),
            element(
                "p",
                element("label", "Bundles (.seal or .vib)", for_="bundles"),
                element("input", type="file", id="bundles", name="UpdateFile", multiple=True, required=True),
                element(
                    "span", f"Up to {limits.SERVE_BUNDLES}; they are installed together or not at all.", class_="dim"
                ),
            ),
            element(
                "fieldset",
                element("legend", "What to do"),
                _choice("install", "Install: modules that are not there yet", checked=True),
                _choice("update", "Update: modules that are there, to a newer version"),
            ),
            element(
                "p",
                element(
                    "label",
                    element("input", type="checkbox", name=DRY_RUN, value="yes"),
                    " Only try: verify, and say what would change",
                ),
            ),
            element("p", element("button", "Upload", type="submit")),
            method="post",
            action="/upload",
            enctype="multipart/form-data",
            class_="card upload",
        ),
    )
    return HostPage("Upload", main)


_LEAD = "The host verifies each bundle, and takes those that its policy accepts. Nothing can be forced."


def _choice(value: str, label: str, *, checked: bool = False) -> Markup:
    return element("label", element("input", type="radio", name=ACTION, value=value, checked=checked), f" {label}")


def _locked(lockdown: Values, who: Values) -> Markup | None:
    """Of a strict host: that it will refuse, before a long upload."""
    if lockdown["mode"] != "strict" or who["key"] in lockdown["controllers"]:
        return None
    return warning(
        element(
            "p", "This host is in strict mode, and your certificate's key is none of its controllers: it will refuse."
        ),
        element("p", element("b", "Next: "), "Ask whoever holds a controller's key to upload, or to end strict mode."),
    )
