"""TensorFlow, imported without its start-up messages.

Since TensorFlow 2.19 its native code writes them to the standard error stream before ``TF_CPP_MIN_LOG_LEVEL`` is read.
In a notebook they would open every chapter with red lines that say that all is well.
"""

import os
import sys
import tempfile


def _import_tensorflow():
    with tempfile.TemporaryFile() as messages:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            import tensorflow
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    return tensorflow


tensorflow = _import_tensorflow()
