// Addresses of pictures. With a version in it, a picture is asked for once and then kept for good.

let version = "";

/** The engine, and when it read the photographs: another one may have others under these numbers. */
export function setPictureVersion(engine: string, seconds: number): void {
  version = `${engine.replace(/[^A-Za-z0-9]/g, "")}${Math.round(seconds * 1000)}`.slice(0, 64);
}

export function thumbnailOf(index: number): string {
  return `/photographs/${index}/thumbnail${version && `?v=${version}`}`;
}

export function pictureOf(index: number): string {
  return `/photographs/${index}/picture${version && `?v=${version}`}`;
}

/** version: what the facts say of the photograph's depth. */
export function depthOf(index: number, version: string): string {
  return `/photographs/${index}/depth?v=${version}`;
}
