# Caddy with passwordless sign-in, for production: portal, guard and Amazon Cognito, without the embedded user pool.
#
#   docker build -f xcaddy.Dockerfile -t caddy-passwordless .
#   docker run -p 80:8080 -p 443:8443 -v ./Caddyfile:/etc/caddy/Caddyfile:ro -v caddy-data:/data caddy-passwordless
#
# The container runs as a user without privileges: let the Caddyfile listen on high ports (`http_port 8080`, `https_port 8443`)
# and publish them as 80 and 443. Mount a volume at /data: certificates, cookie keys and sessions live there.

ARG CADDY_VERSION=2.11.9

FROM caddy:${CADDY_VERSION}-builder-alpine AS builder

ARG CADDY_VERSION

# The plugin is built from this checkout, not from a release.
COPY . /src/passwordless

# The tags leave out Caddy's optional database drivers, as Caddy's own releases do.
RUN CGO_ENABLED=0 XCADDY_GO_BUILD_FLAGS="-trimpath -tags=nobadger,nomysql,nopgx -ldflags='-s -w'" \
	xcaddy build "v${CADDY_VERSION}" \
	--output /usr/bin/caddy \
	--with github.com/caddy-cognito/passwordless=/src/passwordless

FROM caddy:${CADDY_VERSION}-alpine

COPY --from=builder /usr/bin/caddy /usr/bin/caddy

RUN addgroup -S -g 10001 caddy && \
	adduser -S -D -H -u 10001 -G caddy -s /sbin/nologin caddy && \
	mkdir -p /config/caddy /data/caddy && \
	chown -R caddy:caddy /config /data

USER 10001:10001

EXPOSE 8080 8443

CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
