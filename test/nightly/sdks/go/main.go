// The official Go SDK as a server and as a client of the matrix:
// `matrix-go serve [ADDRESS]`, `matrix-go ask VERSION URL`, `matrix-go ask VERSION PROGRAM ARGUMENT...`; VERSION may be empty;
// `matrix-go lines TRANSPORT URL`, `matrix-go lines stdio PROGRAM ARGUMENT...`.
package main

import "os"

func main() {
	arguments := append(os.Args[1:], "", "")
	switch arguments[0] {
	case "serve":
		serve(arguments[1])
	case "lines":
		lines(os.Args[2], os.Args[3:])
	default:
		ask(os.Args[2], os.Args[3:])
	}
}
