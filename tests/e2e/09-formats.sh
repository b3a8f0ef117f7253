#!/usr/bin/env bash
# Goal: a maker does with `pluvio` alone what ESP firmware's files ask for, and OpenSSL, which knows nothing of us, agrees.
. "$(dirname "$0")/lib.sh" "$@"
cd "$work"
p=$bin/pluvio
fails() {  # fails STATUS COMMAND...: ends with that exit status and says something
  local want=$1 got=0; shift
  "$@" >out 2>why || got=$?
  [ "$got" = "$want" ] || die "exit status $got instead of $want: $* ($(cat why))"
  [ -s why ] || die "said nothing: $*"
}
head -c 150000 "$bin/pluvio" >elf # any program will do
"$p" image pack elf --project thing --version 1.2.3 --output first.bin --quiet
app=first.bin

# Every command explains itself, and asks for what it lacks.
"$p" --help | awk '/^  [a-z]+ [a-z]+ +[A-Z]/ { print $1, $2 }' >commands
[ "$(wc -l <commands)" -ge 30 ] || die "the help lists $(wc -l <commands) commands"
while read -r noun verb; do
  "$p" "$noun" "$verb" --help </dev/null | grep -q Usage || die "$noun $verb --help"
done <commands
fails 64 "$p" nothing
fails 64 "$p" nvs nothing
fails 64 "$p" sign image "$app"

# --- keys and signatures: what is signed here verifies there, with keys that were made there
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out rsa.pem 2>/dev/null
openssl ecparam -name prime256v1 -genkey -out p256.pem # with its parameters in front, as older tools write it
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out small.pem 2>/dev/null
cp "$app" app.bin
"$p" sign image --key rsa.pem,p256.pem,p384.pem app.bin --output signed.bin >/dev/null
python3 - <<'PY'
def der(n):
    b = n.to_bytes((n.bit_length() + 8) // 8, 'big')
    return b'\2' + bytes([len(b)]) + b
f = open('signed.bin', 'rb').read()
content, sector = f[:-4096], f[-4096:]
open('content', 'wb').write(content)
open('rsa.sig', 'wb').write(sector[812:1196][::-1])
for name, base, at, n in (('p256', 1216, 101, 32), ('p384', 2432, 149, 48)):
    r, s = (int.from_bytes(sector[base + at + i * n:base + at + (i + 1) * n], 'little') for i in (0, 1))
    body = der(r) + der(s)
    open(name + '.sig', 'wb').write(b'\x30' + (bytes([len(body)]) if len(body) < 128 else b'\x81' + bytes([len(body)])) + body)
PY
openssl dgst -sha256 -prverify rsa.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -signature rsa.sig content >/dev/null || die "OpenSSL refuses the RSA signature"
openssl dgst -sha256 -prverify p256.pem -signature p256.sig content >/dev/null || die "OpenSSL refuses the P-256 signature"
openssl dgst -sha384 -prverify p384.pem -signature p384.sig content >/dev/null || die "OpenSSL refuses the P-384 signature"
for key in rsa p256 p384; do
  "$p" sign public $key.pem --output $key.pub >/dev/null
  openssl pkey -pubin -in $key.pub -noout || die "OpenSSL does not read $key.pub"
  "$p" sign verify --key $key.pub signed.bin >/dev/null || die "$key does not verify"
done
[ "$("$p" sign info --json signed.bin | jq '[.[0].signatures[] | .is_right] == [true, true, true]')" = true ] || die "sign info"
[ "$("$p" sign digest --json p256.pub | jq -r '.[0].key_digest')" = "$("$p" sign info --json signed.bin | jq -r '.[0].signatures[1].key_digest')" ] || die "digests differ"
"$p" image inspect signed.bin | grep -q 'fit to be an update' || die "a signed image is an update"
"$p" sign key --type p192 --output p192.pem >/dev/null
[ "$(stat -c %a p192.pem)" = 600 ] || die "a private key others can read"
fails 73 "$p" sign key --type p192 --output p192.pem
fails 65 "$p" sign image --key p192.pem --append signed.bin  # three are enough
fails 73 "$p" sign image --key p256.pem --append signed.bin  # signed once already
fails 73 "$p" sign image --key p256.pem signed.bin           # signed already, and not told what to do
fails 65 "$p" sign image --key small.pem app.bin
fails 74 "$p" sign image --key none.pem app.bin
cmp -s app.bin "$app" || die "a failed signing changed the file"
printf x | dd of=signed.bin bs=1 seek=700 conv=notrunc 2>/dev/null
fails 65 "$p" sign verify signed.bin
"$p" sign image --key p256.pem --v1 app.bin --output v1.bin >/dev/null
"$p" sign verify --key p256.pub v1.bin >/dev/null || die "version 1"
fails 65 "$p" sign verify --key p384.pub v1.bin
[ "$("$p" sign public --raw p256.pem | wc -c)" = 64 ] || die "raw key"

# --- encrypted images
head -c 32 /dev/urandom >hmac.key
for key in rsa p256; do
  "$p" image encrypt --key $key.pub app.bin --output sealed.bin >/dev/null
  "$p" image decrypt --key $key.pem sealed.bin --output open.bin >/dev/null
  cmp -s open.bin app.bin || die "$key: what was opened is another"
done
fails 65 "$p" image decrypt --key rsa.pem sealed.bin --output never.bin # sealed for the other
fails 65 "$p" image decrypt --hmac-key hmac.key sealed.bin --output never.bin
[ ! -e never.bin ] || die "an image that did not open was written"
fails 65 "$p" image inspect sealed.bin
grep -q encrypted why || die "an encrypted image was not named"

# --- partition tables
printf 'nvs,data,nvs,,$SIZE\notadata,data,ota,,8K\nota_0,app,ota_0,,1M\nota_1,app,ota_1,,1M\n' >table.csv
SIZE=0x6000 "$p" partition make table.csv --output table.bin >/dev/null
fails 65 "$p" partition make table.csv --output other.bin
grep -q SIZE why || die "the variable was not named"
"$p" partition csv table.bin --output again.csv
"$p" partition make again.csv --output again.bin >/dev/null
cmp -s table.bin again.bin || die "CSV -> binary -> CSV -> binary"
[ "$("$p" partition show --json table.bin | jq -r '.partitions[2].offset')" = 131072 ] || die "partition show"
fails 65 "$p" partition show --flash-size 2M table.bin
"$p" partition make --no-md5 again.csv --output old.bin >/dev/null
"$p" partition show old.bin | grep -q 'no MD5' || die "a table without MD5"

# --- otadata
"$p" otadata make --slot 0 --state valid --output ota.bin >/dev/null
"$p" otadata make --from ota.bin --slot 1 --state new --output ota.bin >/dev/null
[ "$("$p" otadata show --json ota.bin | jq -c '[.records[] | [.seq, .state]]')" = '[[1,"valid"],[2,"new"]]' ] || die "otadata show"
[ "$(od -An -tx4 -j28 -N4 ota.bin | tr -d ' ')" = 4743989a ] || die "otadata CRC"
[ "$("$p" otadata select --write --json ota.bin | jq -r .selected)" = ota_1 ] || die "the new image gets its trial"
[ "$("$p" otadata select --write --json ota.bin | jq -c '[.selected, .has_rolled_back]')" = '["ota_0",true]' ] || die "it was not confirmed"
"$p" otadata erase ota.bin >/dev/null
[ "$("$p" otadata select --factory --json ota.bin | jq -r .selected)" = factory ] || die "erased otadata"
fails 65 "$p" otadata show table.bin

# --- NVS
mkdir tables
printf 'value of a file' >tables/value.txt
printf 'key,type,encoding,value\nspace,namespace,,\nnumber,data,i16,-5\ntext,data,string,"two ""words"""\nfile,file,binary,value.txt\nbig,data,blob_fill(9000;0xab),\n' >tables/t.csv
"$p" nvs make tables/t.csv --size 24K --output nvs.bin >/dev/null
[ "$("$p" nvs get --json nvs.bin space number | jq -r .value)" = -5 ] || die "nvs get"
[ "$("$p" nvs get nvs.bin space file --output -)" = 'value of a file' ] || die "nvs get of a file"
[ "$("$p" nvs show --json nvs.bin | jq '[.entries[].key] == ["number","text","file","big"]')" = true ] || die "nvs show"
"$p" nvs csv nvs.bin --output again.csv
"$p" nvs make again.csv --size 24K --output again.bin >/dev/null
cmp -s nvs.bin again.bin || die "NVS -> CSV -> NVS"
"$p" nvs keys --output keys.bin >/dev/null
"$p" nvs make tables/t.csv --size 24K --keys keys.bin --output sealed.nvs >/dev/null
fails 65 "$p" nvs show sealed.nvs
[ "$("$p" nvs get --json --keys keys.bin sealed.nvs space number | jq -r .value)" = -5 ] || die "nvs get of an encrypted one"
"$p" nvs decrypt --keys keys.bin sealed.nvs --output open.nvs >/dev/null
cmp -s nvs.bin open.nvs || die "decrypted NVS"
"$p" nvs encrypt --hmac-key hmac.key nvs.bin --output sealed.nvs >/dev/null
"$p" nvs show --hmac-key hmac.key sealed.nvs >/dev/null || die "HMAC keys"
fails 66 "$p" nvs get nvs.bin space none
fails 74 "$p" nvs make tables/t.csv --size 4K --output never.bin # too small
fails 64 "$p" nvs make tables/t.csv --size 5000 --output never.bin
[ ! -e never.bin ] || die "a table that failed left a file"

# --- flash dumps
"$p" otadata make --slot 1 --state valid --output ota.bin >/dev/null
"$p" flash join 0x8000 table.bin 0xf000 ota.bin 0x9000 nvs.bin 0x20000 app.bin --size 4M --output dump.bin >/dev/null
"$p" flash show dump.bin | grep -q 'boots ota_0, because' || die "the selected slot is empty, another boots"
"$p" flash split dump.bin --output pieces >/dev/null
cmp -s pieces/ota_0.bin app.bin || die "the application came out changed"
cmp -s pieces/nvs.bin nvs.bin || die "the NVS partition came out changed"
cmp -s pieces/partition-table.bin table.bin || die "the table came out changed"
"$p" flash join @pieces/flash_args --size 4M --output again.bin >/dev/null
cmp -s dump.bin again.bin || die "split -> join"
fails 65 "$p" image inspect dump.bin
fails 64 "$p" flash join 0x1000 app.bin 0x2000 table.bin --output never.bin # one over the other
fails 65 "$p" flash show app.bin

# --- the factory partition of a RainMaker node
openssl req -x509 -key p256.pem -subj /CN=lamp-1 -days 1 -out node.crt 2>/dev/null
"$p" node fctry --node-id lamp-1 --mqtt-host broker.example --cert node.crt --key p256.pem --output fctry.bin >/dev/null
[ "$(stat -c %s fctry.bin)" = $((0x6000)) ] || die "size of fctry"
"$p" nvs get fctry.bin rmaker_creds client_cert --output - | cmp - node.crt || die "the certificate in fctry"
"$p" nvs get fctry.bin rmaker_creds client_key --output - | cmp - p256.pem || die "the key in fctry"
[ "$("$p" nvs get fctry.bin rmaker_creds node_id --output -)" = lamp-1 ] || die "the id in fctry"
[ "$("$p" nvs show --json fctry.bin | jq -c '[.entries[] | [.namespace, .key, .type]] | map(select(.[1] == "random"))')" = '[["rmaker_creds","random","blob"]]' ] || die "random bytes in fctry"
fails 64 "$p" node fctry --node-id lamp-1 --cert p256.pem --key node.crt --output never.bin # swapped

# --- golden files, where they are
golden=$root/../shared/fixtures
if [ -d "$golden" ]; then
  (cd "$golden/nvs" && "$p" nvs make fctry.csv --size 0x6000 --output "$work/fctry.bin" >/dev/null)
  cmp "$golden/nvs/fctry.bin" fctry.bin || die "fctry.csv"
  for name in seed auto; do
    "$p" partition make "$golden/flash/${name}_partitions.csv" --output made.bin >/dev/null
    cmp "$golden/flash/${name}_partitions.bin" made.bin || die "$name partitions"
  done
fi
echo "every format is read, made and checked"
