"""HTTP as it is on the wire: who asks as one should, and what is answered to an error."""

import asyncio
import gzip

import pytest
from tornado.httputil import RequestStartLine

from api.answer import Answer, Content, Later, Refusal, refusal
from api.exchange import MAX_BODY_BYTES, MAX_HEADER_BYTES
from api.rendered import MANY_GPUS
from api.routes import METRICS_PATH
from tests.builders import make_cache, make_gpu, make_snapshot
from tests.served import GET, HEALTHY, Served, request, serve


def test_requests_follow_each_other_on_one_connection_whatever_their_answers() -> None:
    async def story(served: Served) -> None:
        async with served.client() as client:
            first = await client.ask(request())
            assert (first.status, first.said["status"], first.headers["age"]) == (200, "ok", "0")
            headed = await client.ask(request("HEAD"), has_body=False)
            assert (headed.status, headed.headers["content-length"]) == (200, first.headers["content-length"])
            unchanged = await client.ask(request("GET", METRICS_PATH, f"if-none-match: {first.headers['etag']}"))
            assert (unchanged.status, unchanged.headers["etag"]) == (304, first.headers["etag"])
            compressed = await client.ask(request("GET", METRICS_PATH, "accept-encoding: br, gzip"))
            assert gzip.decompress(compressed.body) == first.body
            assert (await client.ask(GET)).body == HEALTHY

    serve(story)


def test_requests_sent_at_once_are_answered_in_their_order() -> None:
    async def story(served: Served) -> None:
        async with served.client() as client:
            client.send(GET + request("HEAD") + request("GET", "/nowhere") + GET)
            assert (await client.answer()).body == HEALTHY
            assert (await client.answer(has_body=False)).status == 200
            assert (await client.answer()).status == 404
            assert (await client.answer()).body == HEALTHY

    serve(story)


def test_a_request_may_arrive_byte_by_byte() -> None:
    async def story(served: Served) -> None:
        async with served.client() as client:
            for byte in GET:
                client.send(bytes([byte]))
                await asyncio.sleep(0)
            assert (await client.answer()).body == HEALTHY

    serve(story)


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (request("GET", "/web/"), 404, "not_found"),
        (request("GET", "/web/../answers.py"), 404, "not_found"),
        (request("GET", "/web/index.html"), 404, "not_found"),
        (request("GET", f"{METRICS_PATH}/"), 404, "not_found"),
        (request("GET", "/\xe9%ff?\xe9"), 404, "not_found"),
        (request("GET", f"{METRICS_PATH}?host=%ed%a0%80"), 404, "unknown_host"),
        (request("GET", f"{METRICS_PATH}?max_age=nan"), 400, "bad_parameter"),
        (request("GET", f"{METRICS_PATH}?max_age=0"), 503, "stale"),
        (request("POST", METRICS_PATH, "content-length: 4") + b"body", 405, "method_not_allowed"),
        (
            request("PUT", METRICS_PATH, "transfer-encoding: chunked") + b"4\r\nbody\r\n0\r\n\r\n",
            405,
            "method_not_allowed",
        ),
        (request("POST", METRICS_PATH, f"content-length: {MAX_BODY_BYTES + 1}"), 413, "body_too_large"),
        (request("GET", "/healthz", f"content-length: {10**30}", "expect: 100-continue"), 413, "body_too_large"),
        (request("GET", "/healthz", f"x: {'x' * MAX_HEADER_BYTES}"), 431, "headers_too_large"),
        (request("GET", f"/healthz?{'x' * MAX_HEADER_BYTES}"), 431, "headers_too_large"),
        (request("GET", "/healthz", f"x: {'x' * 7 * MAX_HEADER_BYTES}"), 431, "headers_too_large"),
        (request("GET", f"http://localhost{METRICS_PATH}?max_age=nan"), 400, "bad_parameter"),
        (request("GET", "http://localhost?max_age=5"), 400, "bad_parameter"),
        (request("GET", "localhost/healthz"), 404, "not_found"),
        (request("GET", "http://rebound.example/healthz"), 400, "bad_host"),
        (request("GET", "http://user@localhost/healthz"), 404, "not_found"),
        (request("GET", "http:///healthz"), 404, "not_found"),
        (request("GET", "ftp://localhost/healthz"), 404, "not_found"),
        (b"GET http://localhost/healthz HTTP/1.1\r\n\r\n", 400, "bad_host"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "bad_host"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "bad_host"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_host"),
        (b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_host"),
        (b"GET /healthz HTTP/1.1\r\nHost: user@a\r\n\r\n", 400, "bad_host"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\xff\r\n\r\n", 400, "bad_host"),
    ],
)
def test_every_error_is_json(raw: bytes, status: int, code: str) -> None:
    async def story(served: Served) -> None:
        received = await served.ask(raw)
        assert (received.status, received.said["error"]["code"]) == (status, code)
        assert (await served.ask(GET)).body == HEALTHY

    serve(story, now=lambda: 1.0)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", 400),
        (request("HEAD", "/nowhere"), 404),
        (request("HEAD", METRICS_PATH, f"content-length: {MAX_BODY_BYTES + 1}"), 413),
    ],
)
def test_an_error_without_body_is_told_to_head(raw: bytes, status: int) -> None:
    async def story(served: Served) -> None:
        async with served.client() as client:
            assert (await client.ask(raw, has_body=False)).status == status
            client.send(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await client.rest()).startswith(b"" if status == 413 else b"HTTP/1.1 404 Not Found\r\n")

    serve(story)


@pytest.mark.parametrize(
    "raw",
    [
        GET.replace(b"Host: localhost", b"Host:"),
        GET.replace(b"Host: localhost", b"Host: [::1]:8480"),
        GET.replace(b"Host: localhost", b"hOsT:   a.LocalHost.:1  "),
        GET.replace(b"Host: localhost", b"Host: 127.1.2.3:"),
        GET.replace(b"/healthz", b"http://localhost:8480/healthz"),
        GET.replace(b"/healthz", b"HTTPS://[::1]/healthz"),
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"\r\n" + GET,
        request("GET", "/healthz", f"content-length: {MAX_BODY_BYTES}") + b"x" * MAX_BODY_BYTES,
        request("GET", "/healthz", f"x: {'x' * (MAX_HEADER_BYTES - 200)}"),
    ],
)
def test_an_odd_request_is_answered_all_the_same(raw: bytes) -> None:
    async def story(served: Served) -> None:
        assert (await served.ask(raw)).body == HEALTHY

    serve(story)


@pytest.mark.parametrize(
    "host",
    ["rebound.example", "localhost.example:8480", "127.0.0.1.example", "10.0.0.1", "[::2]", "[::]", "[", "a" * 300],
)
def test_on_loopback_only_names_of_loopback_are_answered_and_beyond_it_any(host: str) -> None:
    async def story(served: Served) -> None:
        asking = GET.replace(b"localhost", host.encode())
        refused = await served.ask(asking)
        assert (refused.status, refused.said["error"]["code"]) == (400, "bad_host")
        assert "listens on loopback only" in refused.said["error"]["message"]
        everywhere = Served(make_cache(make_snapshot()), lambda: 0.0, "0.0.0.0")  # noqa: S104 -- asked on loopback
        assert (await everywhere.ask(asking)).body == HEALTHY
        await everywhere.server.stop(0.0)

    serve(story)


def test_while_a_large_body_is_made_others_are_answered_and_all_who_wait_get_it() -> None:
    cache = make_cache(make_snapshot(gpus=[make_gpu(index) for index in range(MANY_GPUS + 1)]))

    async def story(served: Served) -> None:
        async with served.client() as one, served.client() as other, served.client() as leaving:
            for client in (leaving, one, other):
                client.send(request())
            await leaving.close()
            assert (await served.ask(GET)).body == HEALTHY
            first, second = await one.answer(), await other.answer()
            assert first.said["gpus"][-1]["id"] == f"gpu-{MANY_GPUS}"
            assert (first.body, (await one.ask(request())).body) == (second.body, first.body)
            assert (await one.ask(request("HEAD"), has_body=False)).headers == first.headers

    serve(story, cache)


def test_every_answer_forbids_to_guess_what_it_is() -> None:
    async def story(served: Served) -> None:
        for raw in (GET, request(), request("GET", "/nowhere"), request("POST")):
            assert (await served.ask(raw)).headers["x-content-type-options"] == "nosniff"

    serve(story)


@pytest.mark.parametrize(
    ("version", "asked", "said", "is_over"),
    [
        ("1.1", "close", "close", True),
        ("1.1", "keep-alive", None, False),
        ("1.0", "keep-alive", "Keep-Alive", False),
        ("1.0", "x", None, True),
    ],
)
def test_an_answer_says_whether_the_connection_goes_on(
    version: str, asked: str, said: str | None, *, is_over: bool
) -> None:
    async def story(served: Served) -> None:
        async with served.client() as client:
            raw = f"GET /healthz HTTP/{version}\r\nHost: localhost\r\nConnection: {asked}\r\n\r\n".encode()
            assert (await client.ask(raw)).headers.get("connection") == said
            if is_over:
                assert await client.rest() == b""
            else:
                assert (await client.ask(raw)).body == HEALTHY

    serve(story)


def test_a_scrape_is_told_what_the_api_has_answered() -> None:
    async def story(served: Served) -> None:
        await served.ask(GET)
        await served.ask(request("GET", "/nowhere"))
        told = (await served.ask(request("GET", "/metrics"))).body.decode().splitlines()
        assert 'gpu_api_requests_total{code="200"} 1.0' in told
        assert 'gpu_api_requests_total{code="404"} 1.0' in told
        assert "gpu_api_connections 1.0" in told

    serve(story)


@pytest.mark.parametrize("path", ["/", "/web/page.css"])
def test_the_page_is_open_may_load_nothing_from_elsewhere_and_may_be_kept(path: str) -> None:
    async def story(served: Served) -> None:
        page = await served.ask(request("GET", path))
        assert (page.status, page.headers["x-content-type-options"]) == (200, "nosniff")
        policy = page.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} < set(policy)
        assert "unsafe" not in page.headers["content-security-policy"]
        again = await served.ask(request("GET", path, f"If-None-Match: {page.headers['etag']}"))
        assert (again.status, again.body) == (304, b"")

    serve(story)


def test_what_is_old_whenever_it_has_been_made_is_given_up() -> None:
    again: Later = Later(lambda: Content(b""), lambda _, __: again)

    async def story(served: Served) -> None:
        answer = await served.server.make(RequestStartLine("GET", METRICS_PATH, "HTTP/1.1"), again)
        assert (answer.status, ("Retry-After", "1") in answer.headers) == (503, True)

    serve(story)


def test_who_asks_for_too_much_history_is_told_so_once_that_turns_out() -> None:
    def refuse() -> Content:
        raise Refusal(refusal(400, "too_much", "narrow it"))

    async def story(served: Served) -> None:
        later = Later(refuse, lambda _, __: Answer(200, [], b""), "long")
        answer = await served.server.make(RequestStartLine("GET", METRICS_PATH, "HTTP/1.1"), later)
        assert answer.status == 400

    serve(story)
