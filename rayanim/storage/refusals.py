"""Says what a store's refusal means, and whether to ask again."""

from __future__ import annotations

import errno
from dataclasses import dataclass

_LASTING_NUMBERS = (
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.EPERM,
    errno.ENOSYS,
    errno.EMSGSIZE,
    errno.EROFS,
)
_LASTING = (
    FileNotFoundError,
    PermissionError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ImportError,
    ValueError,
    TypeError,
    AttributeError,
)

# By name: the clients' libraries are not imported to compare with their classes.
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "DefaultCredentialsError",
    "RefreshError",
)
_UNREACHABLE = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
    "SSLError",
    "ClientConnectorError",
    "ConnectionRefusedError",
)

# The stores' own words; a name in the message may hold the word alone.
_NO_BUCKET = ("bucket does not exist", "container does not exist", "nosuchbucket")

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud",
    "az": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and its key",
}
"""What to set, by protocol."""

FAMILIES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az"}
"""Other protocols of the same stores."""


def family_of(protocol: str) -> str:
    """One name for all protocols of a store."""
    return FAMILIES.get(protocol, protocol)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is said of a failure.

    Attributes
    ----------
    number
        As of an `OSError`.
    text
        Why, without a full stop.
    is_lasting
        Whether asking again is of no use.
    """

    number: int
    text: str
    is_lasting: bool

    def as_error(self) -> OSError:
        """The same, to be raised; Python makes a FileNotFoundError of ENOENT, and so on."""
        return OSError(self.number, self.text)


def refusal_of(
    error: BaseException, protocol: str, bucket: str, *, is_writing: bool = False
) -> Refusal:
    """What `error`, of a store's client, means.

    Parameters
    ----------
    error
        What was raised.
    protocol, bucket
        Of the address.
    is_writing
        Whether it came of writing an object: what is missing then is the bucket.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if not names.isdisjoint(_NO_CREDENTIALS):
        what = CREDENTIALS.get(family_of(protocol), "what its client reads them from")
        return Refusal(errno.EACCES, f"there are no credentials ({said}). Set {what}", True)
    if not names.isdisjoint(_UNREACHABLE):
        return Refusal(errno.EHOSTUNREACH, f"the store cannot be reached ({said})", False)
    if isinstance(error, PermissionError):
        text = f"the store refuses access: {said}. Are the credentials right, and may they write"
        return Refusal(errno.EACCES, text, True)
    if isinstance(error, FileNotFoundError):
        if is_writing or is_about_bucket(error):
            text = f"there is no bucket {bucket!r}. Make it first, or correct its name"
            return Refusal(errno.ENOENT, text, True)
        return Refusal(errno.ENOENT, "it is not there", True)
    if isinstance(error, TimeoutError):
        return Refusal(errno.ETIMEDOUT, f"the store did not answer ({said})", False)
    number = getattr(error, "errno", None)
    lasting = isinstance(error, _LASTING) or number in _LASTING_NUMBERS
    return Refusal(number if isinstance(number, int) else errno.EIO, said, lasting)


def is_about_bucket(error: BaseException) -> bool:
    """Whether what is missing is the bucket, and not an object in it."""
    said = str(error).lower()
    return any(words in said for words in _NO_BUCKET)
