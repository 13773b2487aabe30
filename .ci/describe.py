"""What schemathesis has to know of the daemons' interfaces beyond their descriptions.

Owns: how text that is no JSON is sent, and names that are there. Never: decides what is right.
"""

import os

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    """Lines are sent as the text that they are."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    """Where the variables name a dataset and a type, most requests are about them: a random name is not there."""
    if path_parameters and "DATASET" in os.environ:
        for parameter, variable in (("dataset", "DATASET"), ("type", "TYPE")):
            value = path_parameters.get(parameter)
            if value is not None and len(str(value)) % 4 != 3:
                path_parameters[parameter] = os.environ[variable]
        key = path_parameters.get("key")
        if key is not None and len(str(key)) % 2 == 1:
            path_parameters["key"] = str(len(str(key)) % 10)
    return path_parameters
