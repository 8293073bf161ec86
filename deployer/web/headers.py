"""What each answer tells a browser."""

HEADERS = {
    # Self-contained pages: one style sheet of our own, no script, no image, no frame, no form.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
