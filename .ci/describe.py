"""What schemathesis has to know of the daemon's interface beyond its description.

Owns: how text that is no JSON is sent. Never: decides what is right.
"""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    """Lines are sent as the text that they are."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
