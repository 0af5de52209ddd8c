// Owns the reading of server-sent events: text in any pieces in, whole frames out.

export interface EventFrame {
  /** null: the frame has none. */
  readonly id: string | null;
  readonly data: string;
}

export interface EventFrameReader {
  /** The frames that end within `text`; comments and frames without data are none. Throws RangeError for one too long. */
  read(text: string): EventFrame[];
}

/** `limit`: the longest frame, in UTF-16 units. */
export function createEventFrameReader(limit: number): EventFrameReader {
  let rest = "";
  let id: string | null = null;
  let data: string[] = [];
  let length = 0;
  const field = (line: string): void => {
    length += line.length;
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "id") id = value;
    if (name === "data") data.push(value);
  };
  return {
    read(text) {
      const frames: EventFrame[] = [];
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines.map((ended) => ended.replace(/\r$/, ""))) {
        if (line !== "") {
          field(line);
          continue;
        }
        if (data.length > 0) frames.push({ id, data: data.join("\n") });
        id = null;
        data = [];
        length = 0;
      }
      if (rest.length + length > limit) throw new RangeError(`a frame is longer than ${limit}`);
      return frames;
    },
  };
}
