"""A shop's front desk in FastAPI: a contact form, a password reset, a newsletter with its progress.

README.md says how to run it. The mail is in three places: ``contact``, ``send_link`` and
``send_newsletter``; around them is as little as keeps them safe.
"""

import hashlib
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from mailqueue import ConfigurationError, EmailMessage, EnqueueError, Status, sanitize_address
from mailqueue.aio import aenqueue, asend, astatuses
from mailqueue.contrib.fastapi import lifespan as mailqueue_lifespan

DESK = "desk@shop.example"
HOUR = 3600
SITE = os.environ.get("SITE", "http://127.0.0.1:8000")
EDITOR_KEY = os.environ.get("EDITOR_KEY", "for-trying-out-only")

# These stand for your database: they last as long as this one process.
passwords: dict[str, str] = {"ann@example.com": "", "bob@example.com": ""}
resets: dict[str, tuple[str, float]] = {}
newsletters: dict[str, list[str]] = {}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Set mailqueue up; what is not said here is in the environment."""
    async with mailqueue_lifespan(DEFAULT_FROM_EMAIL="Our Shop <shop@shop.example>"):
        yield


app = FastAPI(title="Our shop", lifespan=lifespan)


class Letter(BaseModel):
    address: str
    subject: str
    text: str


class Forgotten(BaseModel):
    address: str


class Chosen(BaseModel):
    password: str


class Newsletter(BaseModel):
    issue: str
    subject: str
    text: str


@app.post("/contact", status_code=202)
async def contact(letter: Letter) -> dict[str, str]:
    try:
        visitor = sanitize_address(letter.address, "utf-8")  # one address, not a list of them
        await asend(EmailMessage(letter.subject, letter.text, to=[DESK], reply_to=[visitor]))
    except ConfigurationError:
        raise  # a ValueError, too, but not one that the visitor can correct
    except ValueError as error:  # a line break in the subject, an address that is none
        raise HTTPException(400, str(error)) from None
    return {"detail": "Thank you, we will answer soon."}


@app.post("/reset", status_code=202)
async def ask_for_reset(forgotten: Forgotten, background: BackgroundTasks) -> dict[str, str]:
    if forgotten.address in passwords:
        # After the answer: neither an error nor the time it takes tells who has an account here.
        background.add_task(send_link, forgotten.address)
    return {"detail": "If we know you, a mail is on its way."}


async def send_link(address: str) -> None:
    token = secrets.token_urlsafe()
    resets[digest(token)] = (address, time.time() + HOUR)
    letter = EmailMessage("Your new password", f"Its key: {SITE}/reset/{token}\n", to=[address])
    await aenqueue(letter, priority="high", expires=HOUR, fail_silently=True)


@app.post("/reset/{token}")
async def reset(token: str, chosen: Chosen) -> dict[str, str]:
    address, until = resets.pop(digest(token), ("", 0.0))
    if time.time() > until:
        raise HTTPException(404, "This link is used, or too old.")
    salt = secrets.token_hex()
    hashed = hashlib.scrypt(chosen.password.encode(), salt=salt.encode(), n=2**14, r=8, p=1)
    passwords[address] = f"{salt}${hashed.hex()}"
    return {"detail": "Your password is changed."}


def editors_only(
    given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> None:
    if not secrets.compare_digest(given.credentials.encode(), EDITOR_KEY.encode()):
        raise HTTPException(403)


@app.post("/newsletter", status_code=202, dependencies=[Depends(editors_only)])
async def send_newsletter(news: Newsletter) -> dict[str, str]:
    leave = {"List-Unsubscribe": f"<mailto:{DESK}?subject=unsubscribe>"}
    letters = [
        EmailMessage(news.subject, news.text, to=[address], headers=leave) for address in passwords
    ]
    try:
        # Sent twice by mistake, or once more after an error, it still reaches each person once.
        key = f"newsletter {news.issue}"
        handles = await aenqueue(letters, priority="bulk", idempotency_key=key)
    except ConfigurationError:
        raise
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    newsletters[news.issue] = [handle.id for handle in handles]
    return {"progress": f"{SITE}/newsletter/{news.issue}"}


@app.get("/newsletter/{issue}", dependencies=[Depends(editors_only)])
async def newsletter(issue: str) -> dict[str, int]:
    return progress((await astatuses(newsletters.get(issue, []))).values())


def progress(found: Iterable[Status]) -> dict[str, int]:
    """How many mails are where."""
    counts = Counter(found)
    final = sum(count for status, count in counts.items() if status.final)
    return {
        "total": counts.total(),
        "sent": counts[Status.SENT],
        "deferred": counts[Status.DEFERRED],
        "failed": final - counts[Status.SENT],
        "waiting": counts.total() - final - counts[Status.DEFERRED],
    }


@app.exception_handler(EnqueueError)
async def broker_is_away(_: Request, __: Exception) -> JSONResponse:
    text = "We cannot take your message at the moment. Please try again in a minute."
    return JSONResponse({"detail": text}, 503, {"Retry-After": "60"})


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
