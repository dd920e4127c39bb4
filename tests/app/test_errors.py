"""Bad input: one line that names the thing and the remedy, nothing changed.

All cases are commands; what they print makes docs/errors.md, which
`WRITE_DOCS=1 pytest tests/app/test_errors.py` writes anew.
"""

import io
import os
import pathlib
import re

import numpy as np
from PIL import Image

from tests.command import ROOT, Command

PAGE = ROOT / "docs" / "errors.md"
TABLE = b"""name,age,sex,day,size
ann,31,f,2024-01-05,S
bob,,m,2024-02-01,L
cyd,47,,,M
dan,52,m,2024-03-09,
eve,,f,2024-01-30,S
"""
# What is wrong: the words of miri-impute, and a part of its line. There is
# TABLE as in.csv, and there.csv.
WORDS = {
    "no output": (["in.csv"], "required: OUT"),
    "ending": (["in.csv", "out.xls"], "does not end in .csv"),
    "a folder's name": (["in.csv", "o.csv/"], "is not the name of a file"),
    "no file": (["none.csv", "o.csv"], "no such file: none.csv"),
    "itself": (["in.csv", "in.csv", "--force"], "is the table itself"),
    "no folder": (["in.csv", "x/o.csv"], "there is no folder"),
    "draws": (["in.csv", "o.csv", "--draws", "0"], "draws is 0"),
    "seed below zero": (
        ["in.csv", "o.csv", "--seed", "-1"],
        "seed is -1; give a whole number from 0 to 4294967295 (--seed)",
    ),
    "draws as text": (["in.csv", "o.csv", "--draws", "x"], "invalid int"),
    "method": (["in.csv", "o.csv", "--method", "mirri"], "did you mean miri?"),
    "flag": (
        ["in.csv", "o.csv", "--drws=2"],
        "there is no --drws; did you mean --draws?",
    ),
    "a flag like no other": (
        ["in.csv", "o.csv", "--xyz"],
        "unrecognized arguments: --xyz; see miri-impute --help",
    ),
    "a mark's column": (
        ["in.csv", "o.csv", "--na", "agee=999"],
        "names 'agee', which is not a column; did you mean age? (--na)",
    ),
    "a kind's column": (
        ["in.csv", "o.csv", "--integer", "agee"],
        "kinds names 'agee', which is not a column; did you mean age?",
    ),
    "setting": (
        ["in.csv", "o.csv", "--set", "imputer.num_iteration=2"],
        "did you mean imputer.num_iterations?",
    ),
    "setting's value": (
        ["in.csv", "o.csv", "--set", "imputer.num_steps=many"],
        "imputer.num_steps cannot be 'many'",
    ),
    "a value that is gone": (
        ["in.csv", "o.csv", "--set", "imputer.num_iterations=auto"],
        "'auto' is gone; leave the setting out",
    ),
    "a check of one imputation": (
        ["in.csv", "o.csv", "--method", "miri_paper", "--check"],
        "'miri_paper' has one imputation a fit",
    ),
    "a check by parts": (
        ["in.parquet", "o.parquet", "--stream", "--check"],
        "--stream gives no report",
    ),
    "separator": (
        ["in.csv", "o.csv", "--sep", ";;"],
        "separator is ';;'; give one character, such as ; or tab (--sep)",
    ),
    "no encoding": (
        ["in.csv", "o.csv", "--encoding", "utf9"],
        "encoding is 'utf9', which Python does not know",
    ),
    "decimal mark": (
        ["in.csv", "o.csv", "--decimal", ";"],
        "decimal is ';'; use one of . , (--decimal)",
    ),
    "order of dates": (
        ["in.csv", "o.csv", "--dates", "ymd"],
        "dates is 'ymd'; use one of dmy mdy (--dates)",
    ),
    "lines above": (
        ["in.csv", "o.csv", "--skip-rows", "99"],
        "give a smaller skip_rows (--skip-rows)",
    ),
    "a form of no text": (
        ["in.parquet", "o.parquet", "--sep", ";"],
        "separator is a setting of text files, and in.parquet is none; leave it"
        " out (--sep)",
    ),
    "a sheet of text": (
        ["in.csv", "o.csv", "--sheet", "Data"],
        "sheet is a setting of workbooks, and in.csv is none; leave it out"
        " (--sheet)",
    ),
    "several to stdout": (
        ["in.csv", "-", "--draws", "2"],
        "2 tables cannot go to stdout; add --long",
    ),
    "a file that nothing writes": (
        ["in.csv", "o.sas7bdat"],
        "nothing writes .sas7bdat files; choose another ending, as .csv",
    ),
    "column": (["in.csv", "o.csv", "--real", "agee"], "'agee', which is not"),
    "two kinds": (
        ["in.csv", "o.csv", "--real", "age", "--id", "age"],
        "named as id and as real",
    ),
    "text as number": (
        ["in.csv", "o.csv", "--real", "sex"],
        "column 'sex' holds text ('f' in row 1); name it among the values that"
        " mean missing, or call the column categorical (--na, --categorical)",
    ),
    "number as time": (["in.csv", "o.csv", "--datetime", "sex"], "'sex' holds"),
    "bounds": (["in.csv", "o.csv", "--bounds", "age"], "write NAME=LOW:HIGH"),
    "bounds of text": (
        ["in.csv", "o.csv", "--bounds", "sex=0:1"],
        "column 'sex' is categorical and has no bounds; leave them out, or call"
        " it real or integer (--real, --integer)",
    ),
    "tight bounds": (["in.csv", "o.csv", "--bounds", "age=40:"], "beyond its"),
    "turned bounds": (["in.csv", "o.csv", "--bounds", "age=9:1"], "smaller"),
    "order": (["in.csv", "o.csv", "--order", "size=S"], "write NAME=LEVEL<"),
    "short order": (["in.csv", "o.csv", "--order", "size=S<M"], "add it there"),
    "order's column": (
        ["in.csv", "o.csv", "--order", "z=S<M"],
        "'z', which is",
    ),
    "a level twice": (
        ["in.csv", "o.csv", "--order", "size=S<M<L<S"],
        "write NAME=LEVEL<",
    ),
    "an empty value": (
        ["in.csv", "o.csv", "--empty-value", "nan"],
        "data.empty_value is nan; give a finite number",
    ),
    "a count of zero": (
        ["in.csv", "o.csv", "--set", "imputer.ode_steps=0"],
        "takes a whole number from 1 on",
    ),
    "an activation": (
        ["in.csv", "o.csv", "--set", "model.activation=sillu"],
        "use one of silu, relu",
    ),
    "delta's column": (
        ["in.csv", "o.csv", "--delta", "agee=2"],
        "which is not a column; did you mean age? (--delta)",
    ),
    "a delta's column, of a dry run": (
        ["in.csv", "o.csv", "--dry-run", "--delta", "agee=2"],
        "which is not a column; did you mean age? (--delta)",
    ),
    "delta": (
        ["in.csv", "o.csv", "--delta", "age"],
        "write NAME=NUMBER or NAME[COLUMN=LEVEL]=NUMBER, as weight=-2",
    ),
    "an infinite delta": (
        ["in.csv", "o.csv", "--delta", "age=inf"],
        "give a finite number (--delta)",
    ),
    "delta of levels": (
        ["in.csv", "o.csv", "--delta", "sex=1"],
        "is no number to shift; multiply the odds of a level, or call it real"
        " or integer (--odds, --real, --integer)",
    ),
    "delta of times": (["in.csv", "o.csv", "--scale", "day=2"], "as days"),
    "delta's group": (
        ["in.csv", "o.csv", "--delta", "age[size=huge]=1"],
        "column 'size' has no level 'huge'; there are L, M, S",
    ),
    "delta's group of times": (
        ["in.csv", "o.csv", "--delta", "age[day=2024-01-05]=1"],
        "makes no groups",
    ),
    "odds of numbers": (
        ["in.csv", "o.csv", "--odds", "age=31:2"],
        "has no odds; shift or scale it",
    ),
    "odds of no level": (["in.csv", "o.csv", "--odds", "sex:2"], "say whose"),
    "odds of another level": (
        ["in.csv", "o.csv", "--odds", "sex=x:2"],
        "has no level 'x'",
    ),
    "odds of 0": (["in.csv", "o.csv", "--odds", "sex=f:0"], "number above 0"),
    "a result that is there": (["in.csv", "there.csv"], "or --force"),
    "parts of text": (
        ["in.csv", "o.parquet", "--stream"],
        "takes Parquet files; in.csv is another kind",
    ),
    "parts with a decimal mark": (
        ["in.parquet", "o.parquet", "--stream", "--decimal", ","],
        "--stream takes Parquet files; leave out --decimal",
    ),
    "parts to be changed": (
        ["in.parquet", "o.parquet", "--stream", "--delta", "age=2"],
        "--stream cannot change filled cells; leave out --delta",
    ),
    "parts of groups": (
        ["in.parquet", "o.parquet", "--stream", "--group", "name"],
        "rows that belong together may be in several; leave out --group",
    ),
    "several draws in one file of parts": (
        ["in.parquet", "o.parquet", "--stream", "--draws", "2"],
        "--stream gives one draw, not 2; name a folder",
    ),
    "a folder into a file": ([".", "o.csv"], ". is a folder of parts"),
    "a folder into itself": ([".", "o"], "are one in the other"),
    "a folder's dates": (
        [".", "../o", "--dates", "dmy"],
        "a folder takes Parquet or CSV; leave out --dates",
    ),
    "workers for one file": (
        ["in.parquet", "o.parquet", "--dask"],
        "--dask fills parts; name a folder for them, not o.parquet",
    ),
    "no address": (
        ["in.parquet", "o", "--dask", "here"],
        "--dask takes a scheduler's address, as tcp://HOST:8786",
    ),
    **{
        what: (["in.csv", "o.csv", "--method", "gaussian", *words], part)
        for what, words, part in (
            (
                "a formula's column",
                ["--formula", "age = agee + 1"],
                "names 'agee', which is not a column; did you mean age?",
            ),
            ("a formula", ["--formula", "age + 1"], "NAME = EXPRESSION"),
            (
                "a circular formula",
                ["--formula", "age = 2 * age"],
                "the formulas of 'age' are circular",
            ),
            ("half a formula", ["--formula", "age = 2 *"], "at its end"),
            ("a formula of text", ["--formula", "age = sex"], "gives a text"),
            ("a rule as code", ["--rule", "open('x') == 1"], "no function"),
            ("a rule of =", ["--rule", "age = 3"], "to compare, write =="),
            ("a rule of no truth", ["--rule", "age + 1"], "met or not"),
            (
                "a rule's level",
                ["--only-if", "age: sex != 'g'"],
                "column 'sex' has no level 'g'",
            ),
            ("a condition", ["--only-if", "age"], "write NAME: CONDITION"),
            ("a kept column", ["--keep", "agee"], "did you mean age? (--keep)"),
            ("a limit", ["--below", "age"], "write NAME=LIMIT"),
            ("a limit of text", ["--above", "sex=1"], "has no limits"),
            (
                "two limits",
                ["--below", "age=9", "--above", "age=3"],
                "said to lie below and above",
            ),
            (
                "a limit out of bounds",
                ["--below", "age=5", "--bounds", "age=10:"],
                "are said to lie below 5",
            ),
            ("gap bounds", ["--gap-bounds", "age=9:1"], "the smaller"),
            (
                "gap bounds around nothing",
                ["--gap-bounds", "age=9.2:9.8"],
                "no whole number lies between 9.2 and 9.8, where the gaps of"
                " column 'age' are to lie; widen that (--gap-bounds)",
            ),
            (
                "times that are numbers",
                ["--datetime", "age"],
                "column 'age' holds text ('31' in row 1), which is no date",
            ),
            (
                "a group's column",
                ["--group", "nam"],
                "group names 'nam', which is not a column; did you mean name?"
                " (--group)",
            ),
            (
                "a group with gaps",
                ["--group", "sex"],
                "says which rows belong together, and 1 of its cells are"
                " missing, as in row 3",
            ),
            ("a time of text", ["--time", "name"], "and no time; give one of"),
            ("weights of text", ["--weights", "name"], "holds no weights"),
            (
                "one column for two",
                ["--group", "name", "--time", "name"],
                "is named twice",
            ),
        )
    },
}

# What is wrong with in.csv.
FILES = {
    "empty": (b"", "is empty"),
    "header only": (b"a,b\n", "no rows"),
    "separators only": (b";;\n;;\n;;\n", "its first line is empty"),
    "separators above": (b",\n1,2\n,3\n", "its first line is empty"),
    "no header": (b"1,2\n3,4\n", "has no header"),
    "twice": (b"a,a\n1,2\n", "two columns named 'a'"),
    "no name": (b"a,\n1,2\n", "column 2 of in.csv has no name"),
    "mixed": (
        b"a\n1\n2\nx\n",
        "column 'a' holds text ('x' in row 3); name it among the values that"
        " mean missing, or call the column categorical (--na, --categorical)",
    ),
    "limits": (
        b"a,b\n1.5,u\n<0.5,v\n2.5,u\n,v\n",
        "column 'a' holds limits ('<0.5' in 1 cell(s)); name a=<0.5 among the"
        " values that mean missing, and say that its gaps lie below 0.5, or"
        " call it an id to leave it as it is (--na, --below, --id)",
    ),
    "infinite": (b"a,b\n1,inf\n,2\n", "holds an infinite value (inf in row 1)"),
    "too large": (b"a,b\n1,1e999\n,2\n", "column 'b' holds "),
    "nothing": (
        b"a,b\n1,\n2,\n",
        "column 'b' has no observed value; remove it, or fill it with a number"
        " of your choice, such as empty_value=0 (--empty-value)",
    ),
    "mixed, decimal commas": (
        b"a;b\n" + b"".join(b"%d,5;1\n" % k for k in range(20)) + b"tbd;1\n",
        "column 'a' holds text ('tbd' in row 21); name it among the values that"
        " mean missing, or call the column categorical (--na, --categorical)",
    ),
    "ragged": (b"a,b\n1,2\n1,2,3\n", "cannot be read as a table"),
    "no encoding": (
        b"a,b\n1," + bytes(range(128, 256)) + b"\n,2\n",
        "name its encoding, as encoding='cp1252' (--encoding)",
    ),
    "binary": (bytes(range(256)), "is not text in UTF-8"),
    "ids only": (
        b"a\n" + b"".join(b"u%d\n" % k for k in range(30)),
        "nothing to fill",
    ),
    "quote": (b'a,b\n"1,2\n3,4\n', "cannot be read as a table"),
}

# What is wrong: a config, further words of miri_jax.main, and a part of its
# line. There is TABLE as in.csv and, as images, a folder of one.
RUN = {
    "no table": (
        "table.py",
        [],
        "no table to fill; give path='IN.csv', or path='beijing' for the table"
        " that comes with the package (--config.data.path)",
    ),
    "no such table": (
        "table.py",
        ["--config.data.path=none.csv"],
        "no such file: none.csv",
    ),
    "a setting that is no number": (
        "table.py",
        ["--config.data.path=in.csv", "--config.checkpoint.every_seconds=nan"],
        "checkpoint.every_seconds is nan",
    ),
    "a setting that does not exist": (
        "table.py",
        ["--config.modle.width=3"],
        "no setting --config.modle.width; did you mean --config.model.width?",
    ),
    "a value of another type": (
        "table.py",
        ["--config.draws=many"],
        "--config.draws=many",
    ),
    "a method that does not exist": (
        "table.py",
        ["--config.data.path=in.csv", "--config.method=mirri"],
        "no method 'mirri'; did you mean miri?",
    ),
    "a setting of another method": (
        "table.py",
        [
            "--config.data.path=in.csv",
            "--config.method=mean",
            "--config.imputer.num_steps=3",
        ],
        "method 'mean' has no setting 'num_steps'",
    ),
    "no draws": (
        "table.py",
        ["--config.data.path=in.csv", "--config.draws=0"],
        "draws is 0",
    ),
    "a setting out of its range": (
        "table.py",
        ["--config.data.path=in.csv", "--config.imputer.imputed_weight=2.0"],
        "imputed_weight is 2.0; method 'miri' takes a number from 0 to 1",
    ),
    "a value that was taken once": (
        "table.py",
        ["--config.imputer.num_iterations=auto"],
        "'auto' is gone; leave the setting out",
    ),
    "a check of images": (
        "inpaint.py:smoke",
        ["--config.data.images=folder:images", "--config.check=True"],
        "a check is for tables; leave it out (--config.check)",
    ),
    "a source of images for a table": (
        "table.py",
        ["--config.data.path=in.csv", "--config.imputer.source=biharmonic"],
        "source='biharmonic' is for images",
    ),
    "slices that do not divide": (
        "table.py",
        [
            "--config.data.path=in.csv",
            "--config.imputer.num_steps=5",
            "--config.imputer.num_slices=2",
        ],
        "num_slices=2 does not divide num_steps=5",
    ),
    "a network's setting for images": (
        "table.py",
        ["--config.data.path=in.csv", "--config.model.size=tiny"],
        "model.size is a setting of networks for images",
    ),
    "a config that does not exist": ("tabel.py", [], "tabel.py"),
    "a config's argument": (
        "table.py:bejing",
        [],
        "no argument 'bejing'; known: beijing, smoke",
    ),
    "a stray word": (
        "table.py",
        ["more", "--config.data.path=in.csv"],
        "unexpected argument 'more'",
    ),
    "a flag that does not exist": ("table.py", ["--workdri=x"], "workdri"),
    "a config and a rerun": ("table.py", ["--rerun=x"], "not both"),
    "no images": (
        "inpaint.py:smoke",
        [],
        "no images to fill; give images='folder:PATH', 'npz:PATH' or"
        " 'tfds:cifar10' (--config.data.images)",
    ),
    "images from nowhere": (
        "inpaint.py:smoke",
        ["--config.data.images=zip:x"],
        "no image source 'zip:x'; known: npz:PATH",
    ),
    "no such folder of images": (
        "inpaint.py:smoke",
        ["--config.data.images=folder:none"],
        "no such folder: none",
    ),
    "a folder without images": (
        "inpaint.py:smoke",
        ["--config.data.images=folder:."],
        "no images in .",
    ),
    "images without gaps": (
        "inpaint.py:smoke",
        ["--config.data.images=folder:images"],
        "nothing is missing in folder:images; set rate=0.6 to hide pixels, or"
        " give images with alpha = 0 or mask files (--config.data.rate)",
    ),
    "no such images": (
        "cifar10.py:smoke",
        ["--config.data.images=npz:none.npz"],
        "no such file: none.npz",
    ),
    "a table as images": (
        "cifar10.py:smoke",
        ["--config.data.images=npz:in.csv"],
        "in.csv is no whole .npz file",
    ),
    "arrays of another kind": (
        "cifar10.py:smoke",
        ["--config.data.images=npz:grey.npz"],
        "it must be uint8 [n, h, w, 3]",
    ),
    "pickled objects as images": (
        "cifar10.py:smoke",
        ["--config.data.images=npz:objects.npz"],
        "without objects",
    ),
    "a rate above 1": (
        "cifar10.py:smoke",
        ["--config.data.rate=1.5", "--config.data.size=8"],
        "1.5",
    ),
    "an unknown network": (
        "cifar10.py:smoke",
        ["--config.data.rows=4", "--config.model.size=huge"],
        "model.size is 'huge'; use one of nano, tiny, base",
    ),
    "a table's network for images": (
        "cifar10.py:smoke",
        ["--config.data.rows=4", "--config.model.width=8"],
        "model.width is a setting of networks for tables",
    ),
}
# What is wrong: files, the words of miri_jax.main, and a part of its line.
OTHER = {
    "text among numbers": (
        {"in.csv": b"a,b\n1,2\n2,x\n3,4\n"},
        [
            f"--config={ROOT}/configs/table.py",
            "--workdir=run",
            "--config.data.path=in.csv",
        ],
        "column 'b' holds text ('x' in row 2); name it among the values that"
        " mean missing, or call the column categorical"
        " (--config.data.na_values, --config.data.categorical)",
    ),
    "negative weights": (
        {"in.csv": b"a,w\n1,2\n2,-1\n,4\n"},
        [
            f"--config={ROOT}/configs/table.py",
            "--workdir=run",
            "--config.data.path=in.csv",
            "--config.data.weights=w",
        ],
        "column 'w' holds -1 in row 2; weights are 0 or more, and some more"
        " (--config.data.weights)",
    ),
    "a config.json of no run": (
        {"config.json": b"[1]"},
        ["--rerun=config.json", "--workdir=run"],
        "is not the config.json of a run",
    ),
    "no config": ({}, ["--workdir=run"], "give --config=FILE"),
    "no folder for the results": (
        {},
        [f"--config={ROOT}/configs/toy.py"],
        "give --workdir=DIR",
    ),
    "a config that is broken": (
        {"mine.py": b"def get_config(:\n"},
        ["--config=mine.py", "--workdir=run"],
        "the config cannot be loaded",
    ),
    "a folder below a file": (
        {"file": b""},
        [f"--config={ROOT}/configs/toy.py:smoke", "--workdir=file/run"],
        "file/run cannot be written (Not a directory); use another folder"
        " (--workdir)",
    ),
    "a folder that cannot be read": (
        {"run/config.json": b"{"},
        [f"--config={ROOT}/configs/toy.py:smoke", "--workdir=run"],
        "run/config.json cannot be read; use another folder or delete this one"
        " (--workdir)",
    ),
    "a folder of another run": (
        {"run/config.json": b'{"seed": 7}'},
        [f"--config={ROOT}/configs/toy.py:smoke", "--workdir=run"],
        "run holds a run with bootstrap=None, this one has False;"
        " use another folder or delete that one (--workdir)",
    ),
}


FILL = ["in.csv", "out.csv"]


def _cases():
    """What is wrong, files, module, words, and a part of the line."""
    for what, (words, line) in WORDS.items():
        files = {"in.csv": TABLE, "there.csv": b"precious"}
        files |= {"in.parquet": b""} if "in.parquet" in words else {}
        yield what, files, "miri_jax.app.impute", words, line
    for what, (content, line) in FILES.items():
        words = ["in.csv", "out.csv", "--method", "mean"]
        yield (
            f"file: {what}",
            {"in.csv": content},
            "miri_jax.app.impute",
            words,
            line,
        )
    for ending in ("parquet", "feather"):
        files = {f"in.{ending}": b"PAR1 and then nothing"}
        words = [f"in.{ending}", "out.csv"]
        line = f"cannot be read as {ending}"
        yield (
            f"file: damaged {ending}",
            files,
            "miri_jax.app.impute",
            words,
            line,
        )
    images = {
        "images/a.png": _png(np.zeros((8, 8, 3), np.uint8)),
        "grey.npz": _npz(images=np.zeros((2, 8, 8), np.uint8)),
        "objects.npz": _npz(images=np.array([{}])),
    }
    for what, (config, words, line) in RUN.items():
        words = [f"--config={ROOT}/configs/{config}", "--workdir=run", *words]
        files = {"in.csv": TABLE, **images}
        yield what, files, "miri_jax.main", words, line
    for what, (files, words, line) in OTHER.items():
        yield what, files, "miri_jax.main", words, line


def _png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def _npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != ".lock"
    }


def test_bad_input_is_one_line_and_changes_nothing(tmp_path):
    rows, wrong = [], []
    for k, (what, files, module, words, part) in enumerate(_cases()):
        folder = tmp_path / str(k)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        folder.mkdir(exist_ok=True)
        code, out, err = Command(module, *words, cwd=folder).end()
        # Where that takes long, lines before it say what goes on.
        err = re.sub(r"^((reading|compiling) .*\n)+", "", err)
        good = (
            code in (1, 2)
            and part in err
            and err.startswith("error: ")
            and len(err.strip().splitlines()) == 1
            and _contents(folder) == files
        )
        if not good:
            wrong.append((what, code, part, out, err, [*_contents(folder)]))
        line = err.removeprefix("error: ").strip()
        rows.append((what, module, words, line.replace(f"{folder}/", "")))
    assert not wrong, "\n".join(map(str, wrong))
    assert len(rows) >= 60
    page = _page(rows)
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(page, "utf-8")
    # What libraries say changes with their versions, what is ours does not.
    written = PAGE.read_text("utf-8").splitlines()
    assert len(written) == len(page.splitlines())
    parts = [part for *_, part in _cases()]
    last = slice(-len(rows), None)
    for line, new, part in zip(written[last], page.splitlines()[last], parts):
        assert line.rpartition("` |")[0] == new.rpartition("` |")[0]
        assert part in line


def _page(rows):
    lines = [
        "# What is refused",
        "",
        f"{len(rows)} kinds of bad input, each with the line that it ends in."
        " The exit status is",
        "1, or 2 where the command line itself is wrong, and no file changes."
        " This page is made",
        "by `WRITE_DOCS=1 pytest tests/app/test_errors.py`, which runs them"
        " all.",
        "",
        "| what is wrong | command | line |",
        "|---|---|---|",
    ]
    for what, module, words, line in rows:
        name = {"miri_jax.app.impute": "miri-impute"}.get(module, "")
        shown = " ".join(w for w in words if w != "--workdir=run" or not name)
        shown = f"{name} {shown}".strip().replace(f"{ROOT}/", "")
        cells = [what, f"`{shown}`", line.replace(f"{ROOT}/", "")]
        lines.append(
            "| " + " | ".join(c.replace("|", r"\|") for c in cells) + " |"
        )
    return "\n".join(lines) + "\n"
