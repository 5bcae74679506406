"""A small HTTPS client of an API server, by a kubeconfig with a client certificate, or without it."""

import base64
import http.client
import os
import re
import ssl
import tempfile


class Answer:
    """status, headers (lower-case name -> list of values) and body of one answer."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return ", ".join(self.headers.get(name, []))


class Server:
    """One server, one connection that is opened again when it broke."""

    def __init__(self, kubeconfig, known=True):
        text = open(kubeconfig).read()

        def value(key):
            return re.search(key + r":\s*\"?([^\s\"]+)", text).group(1)

        self.address = re.search(r"https://([^:/\s]+):(\d+)", value("server")).groups()
        self.context = ssl.create_default_context(cadata=base64.b64decode(value("certificate-authority-data")).decode())
        self.connection = None
        if not known:
            return
        pem = base64.b64decode(value("client-certificate-data")) + b"\n" + base64.b64decode(value("client-key-data"))
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(pem)
        try:
            self.context.load_cert_chain(file.name)
        finally:
            os.unlink(file.name)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _open(self):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(*self.address, context=self.context, timeout=30)
        return self.connection

    def send(self, method, target, headers, body, events=None):
        """Asks once. With events only so many lines of a stream are read."""
        for attempt in (1, 2):
            connection = self._open()
            try:
                connection.putrequest(method, target, skip_host=False, skip_accept_encoding=True)
                given = {name.lower() for name, _ in headers}
                for name, text in headers:
                    connection.putheader(name, text)
                if "user-agent" not in given:
                    connection.putheader("User-Agent", "twin/1")
                if "accept" not in given:
                    connection.putheader("Accept", "application/json")
                if body is not None:
                    if "content-type" not in given:
                        connection.putheader("Content-Type", "application/json")
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders()
                if body:
                    try:
                        connection.send(body)
                    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                        pass  # a body that is too large may be refused before it was sent
                response = connection.getresponse()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if attempt == 2:
                    raise
        fields = {}
        for name, text in response.getheaders():
            fields.setdefault(name.lower(), []).append(text)
        if events is None:
            data = response.read()
        else:
            data = b"".join(response.readline() for _ in range(events))
            self.close()
        if response.will_close:
            self.close()
        return Answer(response.status, fields, data)
