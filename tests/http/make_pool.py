"""Makes the data directory that the other HTTP tests copy: `make_pool.py FOLDER`. A ctest fixture."""
import os
import shutil
import sys

import support

if __name__ == "__main__":
    lacking = support.missing()
    if lacking:
        print(f"skipped: without {lacking}")
        sys.exit(77)
    folder = sys.argv[1]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    support.make_pool(folder)
