/*
 * Both ends of SCTP associations, over raw sockets: kernels of test machines often have no SCTP of their own. As much of the protocol
 * as a firewall sees of its beginning: an INIT is answered with an INIT ACK. Checksums are left out, for nobody on the way looks at them.
 *
 * Lines on standard input: "listen PORT", and "ask ADDRESS PORT SOURCE-PORT", which is answered with a line "SOURCE-PORT" when the
 * other end answers. Ends with standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROTOCOL_SCTP 132
#define CHUNK_INIT 1
#define CHUNK_INIT_ACK 2

struct first_packet {
	uint16_t source;
	uint16_t destination;
	uint32_t tag;
	uint32_t checksum;
	uint8_t chunk;
	uint8_t flags;
	uint16_t length;
	uint8_t body[16];
};

static int sockets[2]; /* IPv4, IPv6 */
static bool listening[65536];

static void fail(const char *what)
{
	fprintf(stderr, "sctp-ends: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Ports are in the byte order of the network. A packet that cannot be sent is one that is lost. */
static void send_packet(int fd, const struct sockaddr *to, socklen_t size, uint16_t source, uint16_t destination, uint8_t chunk)
{
	struct first_packet packet = {
		.source = source,
		.destination = destination,
		.chunk = chunk,
		.length = htons(20),
	};

	sendto(fd, &packet, sizeof(packet), 0, to, size);
}

static void receive(int fd, bool has_ip_header)
{
	unsigned char bytes[2048];
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	ssize_t length = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size);
	size_t start = has_ip_header && length > 0 ? (bytes[0] & 15) * 4 : 0;
	struct first_packet packet;

	if (length < 0 || start + sizeof(packet) > (size_t)length)
		return;
	memcpy(&packet, bytes + start, sizeof(packet));
	if (packet.chunk == CHUNK_INIT && listening[ntohs(packet.destination)]) {
		/* A raw socket takes the port of an address for a protocol. */
		if (from.ss_family == AF_INET6)
			((struct sockaddr_in6 *)&from)->sin6_port = 0;
		send_packet(fd, (struct sockaddr *)&from, size, packet.destination, packet.source, CHUNK_INIT_ACK);
	} else if (packet.chunk == CHUNK_INIT_ACK) {
		printf("%u\n", ntohs(packet.destination));
		fflush(stdout);
	}
}

static void ask(const char *address, unsigned int port, unsigned int source)
{
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in ipv4 = { .sin_family = AF_INET };

	if (inet_pton(AF_INET, address, &ipv4.sin_addr) == 1)
		send_packet(sockets[0], (struct sockaddr *)&ipv4, sizeof(ipv4), htons(source), htons(port), CHUNK_INIT);
	else if (inet_pton(AF_INET6, address, &ipv6.sin6_addr) == 1)
		send_packet(sockets[1], (struct sockaddr *)&ipv6, sizeof(ipv6), htons(source), htons(port), CHUNK_INIT);
}

static void obey(const char *line)
{
	char address[64];
	unsigned int port, source;

	if (sscanf(line, "listen %u", &port) == 1 && port < 65536)
		listening[port] = true;
	else if (sscanf(line, "ask %63s %u %u", address, &port, &source) == 3)
		ask(address, port, source);
}

/* False: there is no more. */
static bool read_lines(void)
{
	static char buffer[4096];
	static size_t used;
	ssize_t length = read(STDIN_FILENO, buffer + used, sizeof(buffer) - 1 - used);
	char *line = buffer, *end;

	if (length <= 0)
		return false;
	used += length;
	buffer[used] = 0;
	while ((end = strchr(line, '\n'))) {
		*end = 0;
		obey(line);
		line = end + 1;
	}
	used = buffer + used - line;
	memmove(buffer, line, used);
	return used < sizeof(buffer) - 1;
}

int main(void)
{
	sockets[0] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, PROTOCOL_SCTP);
	sockets[1] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, PROTOCOL_SCTP);
	if (sockets[0] < 0 || sockets[1] < 0)
		fail("raw sockets");
	for (;;) {
		struct pollfd polled[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = sockets[0], .events = POLLIN },
			{ .fd = sockets[1], .events = POLLIN },
		};

		if (poll(polled, 3, -1) < 0)
			fail("poll");
		if (polled[1].revents)
			receive(sockets[0], true);
		if (polled[2].revents)
			receive(sockets[1], false);
		if (polled[0].revents && !read_lines())
			return 0;
	}
}
