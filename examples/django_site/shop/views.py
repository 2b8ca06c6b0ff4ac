"""Contact form, order, password reset and newsletter; each sends mail in its own way."""

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.models import User
from django.core.mail import EmailMessage, send_mail
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET, require_POST

from mailqueue import ConfigurationError, EnqueueError, Status, statuses
from mailqueue.contrib.django import enqueue
from shop.models import Order, Sending

DESK = "desk@shop.example"
HOUR = 3600


class ContactForm(forms.Form):
    address = forms.EmailField()
    subject = forms.CharField()
    text = forms.CharField(widget=forms.Textarea)


class OrderForm(forms.Form):
    number = forms.CharField(max_length=40, widget=forms.HiddenInput, initial=uuid.uuid4)
    address = forms.EmailField()


class NewsletterForm(forms.Form):
    issue = forms.SlugField(max_length=40)
    subject = forms.CharField()
    text = forms.CharField(widget=forms.Textarea)


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return page(request)


@require_POST
def contact(request: HttpRequest) -> HttpResponse:
    form = ContactForm(request.POST)
    if not form.is_valid():
        return page(request, 400, contact=form)
    letter = form.cleaned_data
    try:
        EmailMessage(
            letter["subject"], letter["text"], to=[DESK], reply_to=[letter["address"]]
        ).send()
    except ConfigurationError:
        raise  # a ValueError, too, but not one that the visitor can correct
    except ValueError as error:  # a line break in the subject
        form.add_error(None, str(error))
        return page(request, 400, contact=form)
    return page(request, message="Thank you, we will answer soon.")


@require_POST
def order(request: HttpRequest) -> HttpResponse:
    form = OrderForm(request.POST)
    if not form.is_valid():
        return page(request, 400, order=form)
    number, address = form.cleaned_data["number"], form.cleaned_data["address"]
    try:
        with transaction.atomic():
            # It leaves with the commit. If the order is not saved, it never leaves.
            # Silent: when the broker is away, the order is good all the same.
            send_mail("Your order", f"We have it: {number}\n", None, [address], fail_silently=True)
            Order.objects.create(number=number, address=address)
    except IntegrityError:
        return page(request, 409, message="We have this order already.")
    return page(request, message="Thank you for your order.")


class UrgentPasswordResetForm(PasswordResetForm):
    """Django's form; its mail overtakes all others, and is not sent when its link is too old."""

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict[str, Any],
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,  # noqa: ARG002 - Django's signature
    ) -> None:
        subject = " ".join(render_to_string(subject_template_name, context).split())
        body = render_to_string(email_template_name, context)
        letter = EmailMessage(subject, body, from_email, [to_email])
        # Silent: an error would tell who has an account here. It is in our log.
        enqueue(letter, priority="high", expires=HOUR, fail_silently=True)


@require_POST
@staff_member_required
def send_newsletter(request: HttpRequest) -> HttpResponse:
    form = NewsletterForm(request.POST)
    if not form.is_valid():
        return page(request, 400, newsletter=form)
    issue, subject, text = (form.cleaned_data[name] for name in ("issue", "subject", "text"))
    leave = {"List-Unsubscribe": f"<mailto:{DESK}?subject=unsubscribe>"}
    people = User.objects.exclude(email="").order_by("id").values_list("email", flat=True)
    letters = [EmailMessage(subject, text, to=[address], headers=leave) for address in people]
    try:
        with transaction.atomic():
            # Sent twice by mistake, or once more after an error, it reaches each person once.
            handles = enqueue(letters, priority="bulk", idempotency_key=f"newsletter {issue}")
            rows = [Sending(issue=issue, mail=handle.id) for handle in handles]
            Sending.objects.bulk_create(rows, ignore_conflicts=True)
    except ConfigurationError:
        raise
    except ValueError as error:
        form.add_error(None, str(error))
        return page(request, 400, newsletter=form)
    return redirect("newsletter", issue=issue)


@require_GET
@staff_member_required
def newsletter(_: HttpRequest, issue: str) -> JsonResponse:
    ids = Sending.objects.filter(issue=issue).values_list("mail", flat=True)
    counts = Counter(statuses(ids).values())
    final = sum(count for status, count in counts.items() if status.final)
    return JsonResponse(
        {
            "total": counts.total(),
            "sent": counts[Status.SENT],
            "deferred": counts[Status.DEFERRED],
            "failed": final - counts[Status.SENT],
            "waiting": counts.total() - final - counts[Status.DEFERRED],
        }
    )


class BrokerIsAway:
    """Middleware: a sentence and 503, where mail could not be enqueued."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, EnqueueError):
            return None
        text = "We cannot take your message at the moment. Please try again in a minute."
        answer = page(request, 503, message=text)
        answer["Retry-After"] = "60"
        return answer


def page(request: HttpRequest, status: int = 200, message: str = "", **given: Any) -> HttpResponse:
    """The one page, with the forms as they were filled in."""
    blank = {"contact": ContactForm(), "order": OrderForm(), "newsletter": NewsletterForm()}
    return render(request, "page.html", blank | given | {"message": message}, status=status)
