// The page's own files, as whoever serves them gets them.

export interface PageFile {
  readonly type: string;
  readonly bytes: Uint8Array;
  /** Of the bytes, quoted. */
  readonly etag: string;
  /** Its name changes with its content. */
  readonly isImmutable: boolean;
}

export interface PageFiles {
  /** At a path such as `/` and `/page/page-main-1a2b3c4d.js`; null: there is none. Rejects where the build's files cannot be read. */
  find(path: string): Promise<PageFile | null>;
}
