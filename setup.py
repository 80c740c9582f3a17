"""What pyproject.toml cannot say: the steering kernel is compiled, or left out where there is no compiler."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

SOURCE = Path("trimtab/engine/_hook.c")
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
NOTICE = """
trimtab: the steering kernel was not compiled ({reason}).
trimtab: everything works without it, with slower steering; install a C compiler and reinstall to have it.
"""


def compile_kernel(folder: Path) -> Path | None:
    """The kernel as a plain shared library in `folder`, or None, with a notice, if it cannot be built."""
    from distutils import ccompiler, errors, sysconfig  # brought by setuptools where Python has none

    compiler = ccompiler.new_compiler()
    windows = compiler.compiler_type == "msvc"
    target = folder / f"_hook{SUFFIX}"
    try:
        sysconfig.customize_compiler(compiler)
        with tempfile.TemporaryDirectory() as scratch:
            objects = compiler.compile(
                [SOURCE.as_posix()],
                output_dir=scratch,
                extra_postargs=["/O2", "/std:c11"]
                if windows
                else ["-O3", "-g0", "-std=gnu11", "-fPIC", "-fvisibility=hidden"],
            )
            compiler.link_shared_object(objects, str(target), libraries=[] if windows else ["m"])
    except (errors.CCompilerError, errors.DistutilsError, OSError) as error:
        print(NOTICE.format(reason=error), file=sys.stderr)
        return None
    return target


class BuildPython(build_py):
    """Puts the compiled kernel beside the module that loads it."""

    def run(self) -> None:
        super().run()
        package = SOURCE.parent if self.editable_mode else Path(self.build_lib, *SOURCE.parent.parts)
        package.mkdir(parents=True, exist_ok=True)
        self.kernel = compile_kernel(package)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        built = getattr(self, "kernel", None)
        extra = [str(built)] if built and not self.editable_mode else []
        return [*super().get_outputs(include_bytecode), *extra]


class PlatformWheel(bdist_wheel):
    """One wheel for every Python, but for one platform if the kernel is in it."""

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        built = any(Path(self.bdist_dir or "").rglob(f"_hook{SUFFIX}"))
        return "py3", "none", platform if built else "any"


class PlatformDistribution(Distribution):
    """Belongs where platform-dependent packages go, though it has no extension of Python."""

    def has_ext_modules(self) -> bool:
        return True


setup(cmdclass={"build_py": BuildPython, "bdist_wheel": PlatformWheel}, distclass=PlatformDistribution)
