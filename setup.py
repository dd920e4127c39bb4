"""Packaging; tools are configured in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
INIT = (HERE / "miri_jax" / "__init__.py").read_text()

setup(
    name="miri_jax",
    version=re.search(r'__version__ = "(.+)"', INIT).group(1),
    description=(
        "Missing data imputation by mutual information reducing iterations"
    ),
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
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
        # Its reader, for the images of tensorflow-datasets.
        "array_record>=0.5",
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
        "scikit-image>=0.24",
        "scikit-learn>=1.6",
        "scipy>=1.13",
        "tensorboardX>=2.6",
        "tensorflow-datasets>=4.9.10",
        "threadpoolctl>=3.2",
        "tqdm>=4.66",
    ],
    extras_require={
        # Workbooks, .xlsx.
        "excel": ["openpyxl>=3.1"],
        # Files of SPSS, Stata and SAS.
        "statistics": ["pyreadstat>=1.2.8"],
        # Folders of parts that are filled in parallel.
        "dask": ["dask>=2025.1", "distributed>=2025.1"],
        "dev": [
            "dask>=2025.1",
            "distributed>=2025.1",
            "hypothesis>=6.100",
            "openpyxl>=3.1",
            "polars>=1.0",
            "pyreadstat>=1.2.8",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.8",
            "statsmodels>=0.14.4",
        ],
        # The peers that experiments/ measures against.
        "bench": ["torch>=2.5"],
    },
)
