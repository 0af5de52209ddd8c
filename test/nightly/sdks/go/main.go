// The official Go SDK as a server and as a client of the matrix:
// `matrix-go serve [ADDRESS]`, `matrix-go ask VERSION URL`, `matrix-go ask VERSION PROGRAM ARGUMENT...`; VERSION may be empty.
package main

import "os"

func main() {
	arguments := append(os.Args[1:], "", "")
	if arguments[0] == "serve" {
		serve(arguments[1])
	} else {
		ask(os.Args[2], os.Args[3:])
	}
}
