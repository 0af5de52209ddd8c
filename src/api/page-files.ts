// The interface to the page's built files.

export interface PageFile {
  readonly type: string;
  readonly bytes: Uint8Array;
  /** Quoted, as the header has it. */
  readonly etag: string;
  /** True: the file's name changes with its content. */
  readonly isImmutable: boolean;
}

export interface PageFiles {
  /** `path`: `/` or `/page/page-main-1a2b3c4d.js`. null: no such file. Rejects if the build's files cannot be read. */
  find(path: string): Promise<PageFile | null>;
}
