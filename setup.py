"""What pyproject.toml cannot say: configs/ is installed as a folder of the package `models`."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["pipeline", "pipeline.*", "models", "models.*"]),
        "models.configs",
    ],
    package_dir={"models.configs": "configs"},
)
