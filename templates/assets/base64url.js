// Base64url without padding (RFC 4648, section 5).

export const encode = (buffer) =>
	btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

// encodeAny also takes what extensions put in the place of an ArrayBuffer: a view, base64url text, an array of numbers, or an
// object that has lost its prototype on the way, {"0": 1, "1": 2}. Anything else gives undefined.
export function encodeAny(value) {
	if (typeof value === "string") return /^[\w+/-]+={0,2}$/.test(value) ? encode(decode(value)) : undefined;
	if (value === null || typeof value !== "object") return undefined;
	if (ArrayBuffer.isView(value)) return encode(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength));
	if (typeof value.byteLength === "number") return encode(value);
	const bytes = Object.values(value);
	return bytes.length && bytes.every((b) => Number.isInteger(b) && b >= 0 && b < 256) ? encode(bytes) : undefined;
}

export const decode = (text) =>
	Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
