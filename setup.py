"""Packaging; tools are configured in pyproject.toml."""

import os
import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
INIT = (HERE / "miri_jax" / "__init__.py").read_text()
# Where the files of this folder are to be seen, for links from the page of a
# package index, as https://host/owner/miri_jax/blob/main. Without it that page
# has no links, as relative ones lead nowhere there.
HOME = os.environ.get("MIRI_JAX_HOME", "").rstrip("/")
EXTRAS = {
    # Folders of parts that are filled in parallel.
    "dask": ["dask>=2025.1", "distributed>=2025.1"],
    # Workbooks, .xlsx.
    "excel": ["openpyxl>=3.1"],
    # Files of SPSS, Stata and SAS.
    "statistics": ["pyreadstat>=1.2.8"],
    # What tells how near filled images are to true ones.
    "images": ["scikit-image>=0.24"],
    # The reader of images of tensorflow-datasets.
    "tfds": ["array_record>=0.5"],
    # The viewer of the events that a run leaves.
    "tensorboard": ["tensorboard>=2.18"],
}


def page(text: str, home: str) -> str:
    """A document as it is read elsewhere: links are absolute, or mere words.

    Args:
      text: Markdown with links relative to this folder.
      home: where this folder is to be seen; "" if nowhere.
    """

    def link(found: re.Match[str]) -> str:
        image, words, place = found.groups()
        if "://" in place or place.startswith("#"):
            return found[0]
        if not home:
            return "" if image else words
        # A picture is wanted itself, not the page about it.
        there = f"{home}/{place}" + ("?raw=true" if image else "")
        return f"{image}[{words}]({there})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)


setup(
    name="miri_jax",
    version=re.search(r'__version__ = "(.+)"', INIT).group(1),
    description=(
        "Missing data imputation by mutual information reducing iterations"
    ),
    long_description=page((HERE / "README.md").read_text(), HOME),
    long_description_content_type="text/markdown",
    author="The miri_jax authors",
    license="Apache-2.0",
    keywords="imputation, missing data, multiple imputation, rectified flow,"
    " JAX, scikit-learn",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Information Analysis",
        "Typing :: Typed",
    ],
    project_urls={
        name: f"{HOME}/{place}"
        for name, place in {
            "Documentation": "docs/methods.md",
            "Changelog": "CHANGELOG.md",
        }.items()
        if HOME
    },
    packages=find_packages(include=["miri_jax", "miri_jax.*"]),
    entry_points={
        "console_scripts": ["miri-impute = miri_jax.app.impute:main"]
    },
    package_data={
        "miri_jax": ["py.typed"],
        "miri_jax.data": ["*.csv", "*.md"],
        "miri_jax.report": [
            "templates/*.css",
            "templates/*.html",
            "templates/sections/*.html",
        ],
    },
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        "charset-normalizer>=3.3",
        "chex>=0.1.90",
        "filelock>=3.15",
        "flax>=0.12.2",
        "jax>=0.10",
        "jinja2>=3.1",
        "matplotlib>=3.9",
        "ml-collections>=1.0",
        "narwhals>=2.16",
        "numpy>=2.1",
        "optax>=0.2.5",
        # Its v1 API.
        "orbax-checkpoint>=0.12.3",
        "pandas>=2.2",
        "pillow>=10.3",
        "pyarrow>=15",
        "scikit-learn>=1.6",
        "scipy>=1.13",
        # Each run leaves events for TensorBoard; 90 kB, without its viewer.
        "tensorboardX>=2.6",
        "tensorflow-datasets>=4.9.10",
        "threadpoolctl>=3.2",
        "tqdm>=4.66",
    ],
    extras_require={
        **EXTRAS,
        "all": sorted(sum(EXTRAS.values(), [])),
        "dev": [
            "array_record>=0.5",
            "dask>=2025.1",
            "distributed>=2025.1",
            "hypothesis>=6.100",
            "openpyxl>=3.1",
            "polars>=1.0",
            "pyreadstat>=1.2.8",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.8",
            "scikit-image>=0.24",
            "setuptools>=68",
            "statsmodels>=0.14.4",
        ],
        # The site, `make docs`.
        "docs": [
            "mkdocs-jupyter>=0.25",
            "mkdocs-material>=9.6",
            "mkdocstrings[python]>=0.29",
        ],
        # The peers that experiments/ measures against.
        "bench": ["torch>=2.5"],
    },
)
