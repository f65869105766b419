// The container in which everything binary arrives: a JSON header and aligned buffers behind it.

const MAGIC = 0x31424642; // "BFB1"
export const PREFIX_BYTES = 8;
const LARGEST_HEADER = 1 << 20;

interface Place {
  name: string;
  dtype: string;
  shape: number[];
  offset: number;
  bytes: number;
}

type Views = {
  u8: Uint8Array<ArrayBuffer>;
  u16: Uint16Array<ArrayBuffer>;
  i32: Int32Array<ArrayBuffer>;
  u32: Uint32Array<ArrayBuffer>;
  f16: Uint16Array<ArrayBuffer>; // the bits: WebGL takes them as they are
  f32: Float32Array<ArrayBuffer>;
};

export class MalformedBundle extends Error {}

export class Bundle<Header> {
  constructor(
    readonly header: Header,
    private readonly places: Place[],
    private readonly data: ArrayBuffer,
    private readonly start: number,
  ) {}

  has(name: string): boolean {
    return this.places.some((place) => place.name === name);
  }

  shape(name: string): number[] {
    return this.place(name).shape;
  }

  get<T extends keyof Views>(name: string, dtype: T): Views[T] {
    const place = this.place(name);
    if (place.dtype !== dtype) throw new MalformedBundle(`${name} is ${place.dtype}, not ${dtype}`);
    const offset = this.start + place.offset;
    const make = (size: number) => place.bytes / size;
    switch (dtype) {
      case "u8":
        return new Uint8Array(this.data, offset, place.bytes) as Views[T];
      case "u16":
      case "f16":
        return new Uint16Array(this.data, offset, make(2)) as Views[T];
      case "i32":
        return new Int32Array(this.data, offset, make(4)) as Views[T];
      case "u32":
        return new Uint32Array(this.data, offset, make(4)) as Views[T];
      default:
        return new Float32Array(this.data, offset, make(4)) as Views[T];
    }
  }

  private place(name: string): Place {
    const found = this.places.find((place) => place.name === name);
    if (!found) throw new MalformedBundle(`there is no ${name}`);
    return found;
  }
}

/** How many bytes lie before the buffers; null while too few have come to tell. */
export function headerEnd(bytes: Uint8Array): number | null {
  if (bytes.length < PREFIX_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, PREFIX_BYTES);
  const length = view.getUint32(4, true);
  if (view.getUint32(0, true) !== MAGIC || length > LARGEST_HEADER) {
    throw new MalformedBundle("this is no file of the viewer");
  }
  return PREFIX_BYTES + length;
}

/** The header, of bytes that reach at least to its end. */
export function readHeader<Header>(bytes: Uint8Array, end: number): Header & { buffers: Place[] } {
  return JSON.parse(new TextDecoder().decode(bytes.subarray(PREFIX_BYTES, end)));
}

/** A whole container. */
export function readBundle<Header>(data: ArrayBuffer): Bundle<Header> {
  const bytes = new Uint8Array(data);
  const end = headerEnd(bytes);
  if (end === null || end > bytes.length) throw new MalformedBundle("the file ends early");
  const header = readHeader<Header>(bytes, end);
  for (const place of header.buffers) {
    if (end + place.offset + place.bytes > bytes.length) {
      throw new MalformedBundle(`${place.name} ends early`);
    }
  }
  return new Bundle(header, header.buffers, data, end);
}
