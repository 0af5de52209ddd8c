// Reads the daemon's event stream with fetch: the browser's own reader of events sends no header that signs it in.

export interface StreamFrame {
  readonly id: number;
  readonly data: string;
}

/** The frames of a response's body, each once it is whole, until the stream ends or breaks. */
export async function* framesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamFrame, void> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  try {
    while (true) {
      const { value, done } = await reader.read().catch(() => ({ value: undefined, done: true }));
      if (done) return;
      const frames = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const data = fieldOf(frame, "data");
        if (data !== null) yield { id: Number(fieldOf(frame, "id")), data };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** The daemon writes each field once, on one line, which ends at `\n` alone. Null: a heartbeat, or a hint for browsers. */
function fieldOf(frame: string, name: string): string | null {
  return new RegExp(`^${name}: ([^\\n]*)`, "m").exec(frame)?.[1] ?? null;
}
