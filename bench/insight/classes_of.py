"""The class of every row of a project's vectors file, from the folders its photos lie in, as int32; prints the classes.

    python3 bench/insight/classes_of.py DATA PROJECT OUT
"""

import array
import os
import sqlite3
import sys


def main():
    data, project, out = sys.argv[1:]
    database = sqlite3.connect(f"file:{os.path.join(data, 'gleaner.db')}?mode=ro", uri=True)
    rows = database.execute(
        "SELECT i.vector_row, min(n.path) FROM image i JOIN image_name n ON n.image_id = i.id JOIN project p ON p.id = i.project_id"
        " WHERE p.name = ? GROUP BY i.id ORDER BY i.vector_row", (project,)).fetchall()
    folders = [os.path.basename(os.path.dirname(os.fsdecode(path))) for _, path in rows]
    classes = sorted(set(folders))
    if [row for row, _ in rows] != list(range(len(rows))):
        sys.exit(f"{project}: rows of the vectors file are missing")
    with open(out, "wb") as file:
        array.array("i", [classes.index(folder) for folder in folders]).tofile(file)
    print(len(rows), "images:", ", ".join(classes))


if __name__ == "__main__":
    main()
