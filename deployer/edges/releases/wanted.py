"""What a release is made of: a commit's files, and what is live where one can't be published."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from deployer.core.model import REQUIREMENTS, Tree
from deployer.core.planning.held import staying
from deployer.edges.releases.directory import Blobs, Contents, blob_id


def wanted(
    tree: Tree, live: Contents | None, held: Collection[str]
) -> tuple[dict[str, str], frozenset[str], bytes]:
    """Return the blob id of each file of the release, which may be executed, and the text of its
    requirements.
    """
    files = {path: file.blob for path, file in tree.files.items() if path not in held}
    executable = {path for path in files if tree.files[path].executable}
    if live:
        old = {*staying(tree, live.files), *(set(held) & tree.files.keys() & live.files.keys())}
        files |= {path: live.files[path] for path in old}
        executable = (executable - old) | (live.executable & old)
    # The text as it was understood, which is what is installed, whatever the file's encoding.
    requirements = (tree.requirements or "").encode()
    if tree.requirements is not None:
        files[REQUIREMENTS] = blob_id(requirements)
    return files, frozenset(executable), requirements


class With:
    """Blobs, and one more content that comes from no commit."""

    def __init__(self, content: bytes, source: Blobs) -> None:
        self._id = blob_id(content)
        self._content = content
        self._source = source

    def sizes(self, ids: Collection[str]) -> Mapping[str, int]:
        of_commit = self._source.sizes([blob for blob in ids if blob != self._id])
        return {**of_commit, self._id: len(self._content)}

    def blobs(self, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        if self._id in ids:
            yield self._id, self._content
        yield from self._source.blobs([blob for blob in ids if blob != self._id])
