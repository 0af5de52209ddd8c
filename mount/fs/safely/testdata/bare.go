package bare

import (
	"context"
	"sync"
	"time"
)

func bare(op func(), all *sync.WaitGroup) {
	go op()
	time.AfterFunc(time.Second, op)
	context.AfterFunc(context.Background(), func() { op() })
	all.Go(op)
}
