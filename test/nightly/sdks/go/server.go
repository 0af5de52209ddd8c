package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type none struct{}

type echoed struct {
	Text string `json:"text"`
}

type bigAfter struct {
	After string `json:"after"`
}

func textResult(text string) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
}

// A tool without arguments that answers with a text.
func plain(s *mcp.Server, name string, answer func(context.Context, *mcp.CallToolRequest) (string, error)) {
	tool := &mcp.Tool{Name: name, Description: strings.Repeat("One of many. ", 200)}
	mcp.AddTool(s, tool, func(ctx context.Context, r *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
		text, err := answer(ctx, r)
		if err != nil {
			return nil, nil, err
		}
		return textResult(text)
	})
}

func step(ctx context.Context, r *mcp.CallToolRequest, done, all float64) error {
	token := r.Params.GetProgressToken()
	if token == nil {
		return nil
	}
	return r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: done, Total: all})
}

// What the matrix asks of a server: over stdio, or over HTTP at address.
func serve(address string) {
	var cancelled atomic.Int64
	var counts sync.Map
	always := func(context.Context, *mcp.SubscribeRequest) error { return nil }
	never := func(context.Context, *mcp.UnsubscribeRequest) error { return nil }
	s := mcp.NewServer(&mcp.Implementation{Name: "matrix", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler: always, UnsubscribeHandler: never, PageSize: 1000,
	})
	mcp.AddTool(s, &mcp.Tool{Name: "echo"}, func(_ context.Context, _ *mcp.CallToolRequest, in echoed) (*mcp.CallToolResult, any, error) {
		return textResult(in.Text)
	})
	plain(s, "progress", func(ctx context.Context, r *mcp.CallToolRequest) (string, error) {
		for done := 1.0; done <= 3; done++ {
			if err := step(ctx, r, done, 3); err != nil {
				return "", err
			}
		}
		return "done", nil
	})
	plain(s, "say", func(ctx context.Context, r *mcp.CallToolRequest) (string, error) {
		return "done", r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: "said"})
	})
	plain(s, "wait", func(ctx context.Context, _ *mcp.CallToolRequest) (string, error) {
		select {
		case <-ctx.Done():
			cancelled.Add(1)
			return "", ctx.Err()
		case <-time.After(30 * time.Second):
			return "waited", nil
		}
	})
	plain(s, "ended", func(context.Context, *mcp.CallToolRequest) (string, error) {
		return fmt.Sprint(cancelled.Load()), nil
	})
	plain(s, "ask", func(ctx context.Context, r *mcp.CallToolRequest) (string, error) {
		name := map[string]any{"type": "string"}
		schema := map[string]any{"type": "object", "properties": map[string]any{"name": name}}
		answer, err := r.Session.Elicit(ctx, &mcp.ElicitParams{Message: "name?", RequestedSchema: schema})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(answer.Action, " ", answer.Content["name"]), nil
	})
	plain(s, "sample", func(ctx context.Context, r *mcp.CallToolRequest) (string, error) {
		message := &mcp.SamplingMessage{Role: "user", Content: &mcp.TextContent{Text: "hello?"}}
		answer, err := r.Session.CreateMessage(ctx, &mcp.CreateMessageParams{Messages: []*mcp.SamplingMessage{message}, MaxTokens: 10})
		if err != nil {
			return "", err
		}
		return answer.Content.(*mcp.TextContent).Text, nil
	})
	plain(s, "roots", func(ctx context.Context, r *mcp.CallToolRequest) (string, error) {
		listed, err := r.Session.ListRoots(ctx, nil)
		if err != nil {
			return "", err
		}
		uris := []string{}
		for _, root := range listed.Roots {
			uris = append(uris, root.URI)
		}
		return strings.Join(uris, ","), nil
	})
	plain(s, "count", func(_ context.Context, r *mcp.CallToolRequest) (string, error) {
		counted, _ := counts.LoadOrStore(r.Session, new(atomic.Int64))
		return fmt.Sprint(counted.(*atomic.Int64).Add(1)), nil
	})
	plain(s, "touch", func(ctx context.Context, _ *mcp.CallToolRequest) (string, error) {
		return "done", s.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: "memo://note"})
	})
	mcp.AddTool(s, &mcp.Tool{Name: "big"}, func(ctx context.Context, r *mcp.CallToolRequest, in bigAfter) (*mcp.CallToolResult, any, error) {
		if in.After == "progress" {
			if err := step(ctx, r, 1, 1); err != nil {
				return nil, nil, err
			}
		}
		if in.After == "pause" {
			time.Sleep(12 * time.Second)
		}
		return textResult(strings.Repeat("x", 2_000_000))
	})
	s.AddResource(&mcp.Resource{URI: "memo://note", Name: "note"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "memo://note", Text: "a note"}}}, nil
	})
	for index := range 400 {
		name := fmt.Sprintf("many_%d", index)
		plain(s, name, func(context.Context, *mcp.CallToolRequest) (string, error) { return name, nil })
	}
	if address == "" {
		log.Fatal(s.Run(context.Background(), &mcp.StdioTransport{}))
	}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)
	log.Fatal(http.ListenAndServe(address, handler))
}
