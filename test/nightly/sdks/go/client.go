package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Asks for all that the matrix asks, and prints what came of each as JSON. An empty version: the newest.
func ask(version string, target []string) {
	var told, updated, steps atomic.Int64
	client := mcp.NewClient(&mcp.Implementation{Name: "matrix-go", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada", "value": "Ada"}}, nil
		},
		CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Role: "assistant", Model: "none", Content: &mcp.TextContent{Text: "sampled"}}, nil
		},
		LoggingMessageHandler:       func(context.Context, *mcp.LoggingMessageRequest) { told.Add(1) },
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { steps.Add(1) },
		ResourceUpdatedHandler:      func(context.Context, *mcp.ResourceUpdatedNotificationRequest) { updated.Add(1) },
	})
	client.AddRoots(&mcp.Root{URI: "file:///srv/data"})
	var transport mcp.Transport = &mcp.CommandTransport{Command: exec.Command(target[0], target[1:]...)}
	if strings.HasPrefix(target[0], "http") {
		transport = &mcp.StreamableClientTransport{Endpoint: target[0]}
	}
	session, err := client.Connect(context.Background(), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	call := func(ctx context.Context, name string, arguments map[string]any, withProgress bool) (string, error) {
		params := &mcp.CallToolParams{Name: name, Arguments: arguments}
		if withProgress {
			params.SetProgressToken("steps-of-" + name)
		}
		result, err := session.CallTool(ctx, params)
		if err != nil {
			return "", err
		}
		text := ""
		for _, block := range result.Content {
			if one, ok := block.(*mcp.TextContent); ok {
				text += one.Text
			}
		}
		if result.IsError {
			return "error: " + text[:min(len(text), 60)], nil
		}
		if len(text) > 1000 {
			return fmt.Sprint(len(text), " characters"), nil
		}
		return text, nil
	}
	plainCall := func(name string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return call(ctx, name, map[string]any{}, false) }
	}
	until := func(holds func() bool) bool {
		for range 100 {
			if holds() {
				return true
			}
			time.Sleep(50 * time.Millisecond)
		}
		return false
	}

	done := map[string]string{}
	feature := func(name string, play func(context.Context) (string, error)) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		text, err := play(ctx)
		if err != nil {
			text = "error: " + err.Error()[:min(len(err.Error()), 90)]
		}
		done[name] = text
	}

	feature("call", func(ctx context.Context) (string, error) {
		return call(ctx, "echo", map[string]any{"text": "grüß"}, false)
	})
	feature("list", func(ctx context.Context) (string, error) {
		listed, err := session.ListTools(ctx, nil)
		if err != nil {
			return "", err
		}
		many := 0
		for _, tool := range listed.Tools {
			if strings.HasPrefix(tool.Name, "many_") {
				many++
			}
		}
		return fmt.Sprint(many), nil
	})
	feature("progress", func(ctx context.Context) (string, error) {
		text, err := call(ctx, "progress", map[string]any{}, true)
		until(func() bool { return steps.Load() == 3 })
		return fmt.Sprint(text, " ", steps.Load()), err
	})
	feature("log", func(ctx context.Context) (string, error) {
		if err := session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: "info"}); err != nil {
			return "", err
		}
		text, err := call(ctx, "say", map[string]any{}, false)
		return fmt.Sprint(text, " ", until(func() bool { return told.Load() > 0 })), err
	})
	feature("cancel", func(ctx context.Context) (string, error) {
		before, err := call(ctx, "ended", map[string]any{}, false)
		if err != nil {
			return "", err
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, _ = call(short, "wait", map[string]any{}, false)
		ended := until(func() bool {
			now, err := call(ctx, "ended", map[string]any{}, false)
			return err == nil && now != before
		})
		return fmt.Sprint("ended there: ", ended), nil
	})
	feature("elicit", plainCall("ask"))
	feature("sample", plainCall("sample"))
	feature("roots", plainCall("roots"))
	feature("state", func(ctx context.Context) (string, error) {
		first, err := call(ctx, "count", map[string]any{}, false)
		if err != nil {
			return "", err
		}
		second, err := call(ctx, "count", map[string]any{}, false)
		before, _ := strconv.Atoi(first)
		after, _ := strconv.Atoi(second)
		if err == nil && after != before+1 {
			return "error: not kept", nil
		}
		return "kept", err
	})
	feature("subscribe", func(ctx context.Context) (string, error) {
		if err := session.Subscribe(ctx, &mcp.SubscribeParams{URI: "memo://note"}); err != nil {
			return "", err
		}
		if _, err := call(ctx, "touch", map[string]any{}, false); err != nil {
			return "", err
		}
		if !until(func() bool { return updated.Load() > 0 }) {
			return "error: not told", nil
		}
		return "told", nil
	})
	for _, after := range []string{"nothing", "progress", "pause"} {
		feature("2 MB after "+after, func(ctx context.Context) (string, error) {
			return call(ctx, "big", map[string]any{"after": after}, after == "progress")
		})
	}
	if err := json.NewEncoder(os.Stdout).Encode(done); err != nil {
		log.Fatal(err)
	}
}
