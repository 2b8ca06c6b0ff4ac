"""A shop's front desk in Flask: a contact form, a password reset, a newsletter with its progress.

README.md says how to run it. The mail is in three places: ``contact``, ``ask_for_reset`` and
``send_newsletter``; around them is as little as keeps them safe.
"""

import hmac
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from flask import (
    Blueprint,
    Flask,
    abort,
    current_app,
    g,
    redirect,
    render_template,
    request,
    url_for,
)  # fmt: skip
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.security import generate_password_hash

from mailqueue import (
    ConfigurationError,
    EmailMessage,
    EnqueueError,
    Status,
    enqueue,
    sanitize_address,
    statuses,
)  # fmt: skip
from mailqueue.contrib.flask import MailQueue

DESK = "desk@shop.example"
HOUR = 3600
SCHEMA = """
create table if not exists people (id integer primary key, address text unique, password text);
create table if not exists newsletters (issue text, mail text, primary key (issue, mail));
insert or ignore into people (address) values ('ann@example.com'), ('bob@example.com');
"""

mail = MailQueue()
desk = Blueprint("desk", __name__)


def create_app() -> Flask:
    """Make the application; ``FLASK_…`` in the environment overrides these settings."""
    app = Flask(__name__, instance_relative_config=True)
    app.config.update(
        SECRET_KEY="for trying out only",
        EDITOR_PASSWORD="for trying out only",
        DATABASE=str(Path(app.instance_path) / "shop.sqlite3"),
        DEFAULT_FROM_EMAIL="Our Shop <shop@shop.example>",
        # Links in mails are made of the host that a browser names: only of ours.
        TRUSTED_HOSTS=["localhost", "127.0.0.1"],
    )
    app.config.from_prefixed_env()
    mail.init_app(app)
    app.register_blueprint(desk)
    app.register_error_handler(EnqueueError, broker_is_away)
    app.teardown_appcontext(close_database)
    Path(app.config["DATABASE"]).parent.mkdir(parents=True, exist_ok=True)
    with app.app_context():
        database().executescript(SCHEMA)
    return app


@desk.get("/")
def home() -> str:
    return render_template("page.html")


@desk.post("/contact")
def contact() -> ResponseReturnValue:
    form = request.form
    try:
        visitor = sanitize_address(form["address"], "utf-8")  # one address, not a list of them
        EmailMessage(form["subject"], form["text"], to=[DESK], reply_to=[visitor]).send()
    except ConfigurationError:
        raise  # a ValueError, too, but not one that the visitor can correct
    except ValueError as error:  # a line break in the subject, an address that is none
        return render_template("page.html", message=str(error)), 400
    return render_template("page.html", message="Thank you, we will answer soon.")


@desk.post("/reset")
def ask_for_reset() -> str:
    found = database().execute(
        "select id, address, password from people where address = ?", [request.form["address"]]
    )
    for id_, address, password in found:
        link = url_for("desk.reset", id_=id_, token=signer(password).dumps(id_), _external=True)
        letter = EmailMessage("Your new password", f"Choose it here: {link}\n", to=[address])
        # Silent: an error would tell who has an account here. It is in our log.
        enqueue(letter, priority="high", expires=HOUR, fail_silently=True)
    return render_template("page.html", message="If we know you, a mail is on its way.")


@desk.route("/reset/<int:id_>/<token>", methods=["GET", "POST"])
def reset(id_: int, token: str) -> ResponseReturnValue:
    row = database().execute("select password from people where id = ?", [id_]).fetchone()
    try:
        if row is None or signer(row[0]).loads(token, max_age=HOUR) != id_:
            abort(404)
    except BadSignature:
        return render_template("page.html", message="This link is used, or too old."), 404
    if request.method == "GET":
        return render_template("page.html", choose_password=True)
    password = generate_password_hash(request.form["password"])
    with database() as connection:
        connection.execute("update people set password = ? where id = ?", [password, id_])
    return render_template("page.html", message="Your password is changed.")


@desk.post("/newsletter")
def send_newsletter() -> ResponseReturnValue:
    editors_only()
    issue, subject, text = (request.form[name] for name in ("issue", "subject", "text"))
    leave = {"List-Unsubscribe": f"<mailto:{DESK}?subject=unsubscribe>"}
    people = database().execute("select address from people order by id")
    letters = [EmailMessage(subject, text, to=[address], headers=leave) for (address,) in people]
    try:
        # Sent twice by mistake, or once more after an error, it still reaches each person once.
        handles = enqueue(letters, priority="bulk", idempotency_key=f"newsletter {issue}")
    except ConfigurationError:
        raise
    except ValueError as error:
        return render_template("page.html", message=str(error)), 400
    with database() as connection:
        rows = [(issue, handle.id) for handle in handles]
        connection.executemany("insert or ignore into newsletters values (?, ?)", rows)
    return redirect(url_for("desk.newsletter", issue=issue))


@desk.get("/newsletter/<issue>")
def newsletter(issue: str) -> dict[str, int]:
    editors_only()
    ids = [id_ for (id_,) in database().execute(
        "select mail from newsletters where issue = ?", [issue]
    )]  # fmt: skip
    return progress(statuses(ids).values())


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


def broker_is_away(_: Exception) -> ResponseReturnValue:
    text = "We cannot take your message at the moment. Please try again in a minute."
    return render_template("page.html", message=text), 503, {"Retry-After": "60"}


@desk.before_request
def from_our_own_pages_only() -> None:
    # What a browser says of where a form comes from; other programs do not say it.
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.method == "POST" and site not in {"same-origin", "none"}:
        abort(403)


def editors_only() -> None:
    given = (request.authorization.password if request.authorization else None) or ""
    if not hmac.compare_digest(given.encode(), current_app.config["EDITOR_PASSWORD"].encode()):
        abort(current_app.response_class(status=401, headers={"WWW-Authenticate": "Basic"}))


def signer(password: str | None) -> URLSafeTimedSerializer:
    """What signs a link; with the old password in it, a link works once."""
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=f"reset {password}")


def database() -> sqlite3.Connection:
    if "database" not in g:
        g.database = sqlite3.connect(current_app.config["DATABASE"])
    connection: sqlite3.Connection = g.database
    return connection


def close_database(_: object) -> None:
    if "database" in g:
        g.pop("database").close()
