// Owns the last lines that a backend wrote beside the protocol.

export interface LogTail {
  add(line: string): void;
  /** Oldest first; a copy. */
  lines(): readonly string[];
}

/** Keeps the last `limit` lines. */
export function createLogTail(limit = 200): LogTail {
  const ring: string[] = [];
  let oldest = 0;
  return {
    add(line) {
      if (ring.length < limit) ring.push(line);
      else if (limit > 0) {
        ring[oldest] = line;
        oldest = (oldest + 1) % limit;
      }
    },
    lines: () => [...ring.slice(oldest), ...ring.slice(0, oldest)],
  };
}
