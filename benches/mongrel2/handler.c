/* Replies `hello` to every request of a Mongrel2. This is the lower bound of a handler: the cost of libzmq alone.
 *
 *     cc -O2 -o handler handler.c -lzmq && ./handler <send_spec> <recv_spec>
 */
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#define HELLO                                                                                                          \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"                              \
    "Date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\nhello"

/* Writes `<uuid> <length>:<connection>, <http>`, and returns its length, or 0 if the request is invalid. */
static int reply_to(const char *request, size_t size, char *reply, size_t room) {
    const char *end = request + size;
    const char *uuid_end = memchr(request, ' ', size);
    if (!uuid_end) return 0;
    const char *connection = uuid_end + 1;
    const char *connection_end = memchr(connection, ' ', (size_t)(end - connection));
    if (!connection_end) return 0;
    int uuid = (int)(uuid_end - request), digits = (int)(connection_end - connection);
    int length = snprintf(reply, room, "%.*s %d:%.*s, " HELLO, uuid, request, digits, digits, connection);
    return length > 0 && (size_t)length < room ? length : 0;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    void *context = zmq_ctx_new();
    void *requests = zmq_socket(context, ZMQ_PULL);
    /* XPUB, to wait for the subscription of Mongrel2. A PUB would lose the replies that it sends before. */
    void *replies = zmq_socket(context, ZMQ_XPUB);
    char subscription[256], reply[1024];
    if (zmq_connect(replies, arguments[2]) || zmq_recv(replies, subscription, sizeof subscription, 0) < 1) return 1;
    if (zmq_connect(requests, arguments[1])) return 1;
    puts("{\"address\":\"\",\"pids\":[]}");
    fflush(stdout);

    zmq_msg_t request;
    zmq_msg_init(&request);
    for (;;) {
        if (zmq_msg_recv(&request, requests, 0) < 0) return 1;
        int length = reply_to(zmq_msg_data(&request), zmq_msg_size(&request), reply, sizeof reply);
        if (length && zmq_send(replies, reply, (size_t)length, 0) < 0) return 1;
    }
}
