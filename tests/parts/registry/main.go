// Command registry serves an OCI registry from memory, on loopback, for the tests: it has the
// referrers API, and with -immutable it refuses to move or delete a tag. Each request becomes one
// line on standard output, in the form of the other registries' access logs.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

// answer remembers the status that the handler gave.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen; loopback only")
	immutable := flag.Bool("immutable", false, "refuse to move or delete a tag")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		log.Fatal("this registry has no authentication: loopback only")
	}
	registry := ociserver.New(ocimem.NewWithConfig(&ocimem.Config{ImmutableTags: *immutable}), nil)
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{w, http.StatusOK}
		registry.ServeHTTP(a, r)
		fmt.Printf("- - - [] \"%s %s %s\" %d 0\n", r.Method, r.URL.RequestURI(), r.Proto, a.status)
	})))
}
