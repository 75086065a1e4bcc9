module github.com/caddy-cognito/passwordless/bench

go 1.26.0
