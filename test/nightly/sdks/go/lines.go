// Connects, and lists and calls as the lines say that it is given (test/world/clients/programs/lines.py).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type question struct {
	Call  string         `json:"call"`
	Given map[string]any `json:"given"`
}

func transportOf(name string, target []string) mcp.Transport {
	switch name {
	case "HTTP":
		return &mcp.StreamableClientTransport{Endpoint: target[0]}
	case "SSE":
		return &mcp.SSEClientTransport{Endpoint: target[0]}
	}
	return &mcp.CommandTransport{Command: exec.Command(target[0], target[1:]...)}
}

func answer(session *mcp.ClientSession, asked question) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if asked.Call == "" {
		names := []string{}
		for tool, err := range session.Tools(ctx, nil) {
			if err != nil {
				return nil, err
			}
			names = append(names, tool.Name)
		}
		return map[string]any{"tools": names}, nil
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: asked.Call, Arguments: asked.Given})
	if err != nil {
		return nil, err
	}
	text := ""
	if result.IsError {
		text = "error: "
	}
	for _, block := range result.Content {
		if one, ok := block.(*mcp.TextContent); ok {
			text += one.Text
		}
	}
	return map[string]any{"text": text}, nil
}

func lines(transport string, target []string) {
	client := mcp.NewClient(&mcp.Implementation{Name: "matrix-go", Version: "1"}, nil)
	session, err := client.Connect(context.Background(), transportOf(transport, target), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	given := bufio.NewScanner(os.Stdin)
	for given.Scan() {
		var asked question
		if err := json.Unmarshal(given.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		done, err := answer(session, asked)
		if err != nil {
			done = map[string]any{"text": "failed: " + err.Error()}
		}
		if err := json.NewEncoder(os.Stdout).Encode(done); err != nil {
			log.Fatal(err)
		}
	}
}
