// Command legacy stands for an application that nobody can change: it has no sign-in of its own and believes the identity
// headers of whatever stands in front of it. It shows what reached it.
package main

import (
	"errors"
	"flag"
	"log"
	"net/http"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("legacy: ")
	listen := flag.String("listen", "127.0.0.1:9000", "address to listen on")
	account := flag.String("account", "http://localhost:8080/auth/account", "address of the account page, for a link")
	hosts := flag.String("host", "", "host names, separated by commas, that it answers to beside the loopback ones")
	flag.Parse()
	if err := serve(*listen, *account, strings.Split(*hosts, ",")); err != nil {
		log.Fatal(err)
	}
}

func serve(address, account string, hosts []string) error {
	server := &http.Server{
		Addr:              address,
		Handler:           onlyHosts(hosts, newHandler(account, time.Now)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
	}
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
