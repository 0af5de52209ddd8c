#!/usr/bin/env bash
# Builds the guest of the cifs suite: Debian 12 with a kernel that has the SMB client, samba, and nothing of the product.
# Usage: build-image.sh FOLDER [KERNEL-SUITE]     makes FOLDER/{vmlinuz,initrd.img,rootfs.ext4}; needs root, debootstrap,
# mke2fs and a Debian mirror. KERNEL-SUITE: bookworm (6.1, the default) or bookworm-backports (6.12).
# What it makes depends on this file and the mirror alone; `image.ts` keeps it under a hash of this file.
set -euo pipefail

folder=$1
kernel_suite=${2:-bookworm}
packages=samba,smbclient,cifs-utils,keyutils,iproute2,nftables,python3-minimal,libpython3-stdlib,procps,psmisc,lsof,kmod,busybox-static,libatomic1
modules=(cifs nls_utf8 cmac ccm gcm md4 des_generic arc4 veth nf_tables virtio_blk virtio_pci ext4)
required=(cifs nls_utf8 veth nf_tables virtio_blk virtio_pci ext4)

step() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

mkdir -p "$folder"
cd "$folder"
work=$PWD/work
root=$work/root
rm -rf "$work"
mkdir -p "$work"

# The machine's own mirror, if it has one for Debian, is the one that it can reach.
own_mirror() {
  apt-get indextargets --format '$(LABEL) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n 's/^Debian bookworm //p' | head -n 1
}
mirror=$(own_mirror)
mirror=${mirror:-http://deb.debian.org/debian/}

step "the kernel's package ($kernel_suite)"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keyring" ] || fail "debian-archive-keyring is not installed"
mkdir -p "$work"/apt/{lists/partial,cache/archives/partial}
printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$kernel_suite" >"$work/apt/sources.list"
apt_options=(
  -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o Dir::Etc::sourceparts=- -o Acquire::Languages=none
  -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache" -o APT::Sandbox::User=root
  -o APT::Get::List-Cleanup=0 -o Acquire::Retries=3
)
download_kernel() {
  apt-get -qq "${apt_options[@]}" update
  local package
  package=$(apt-cache "${apt_options[@]}" show linux-image-cloud-amd64 |
    sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*\).*/\1/p' | head -n 1)
  [ -n "$package" ] || return 1
  (cd "$work" && apt-get -qq "${apt_options[@]}" download "$package")
  printf '%s\n' "${package#linux-image-}" >"$work/kernel-version"
}
download_kernel >"$work/kernel.log" 2>&1 &
kernel_job=$!

step "debootstrap from $mirror"
debootstrap --variant=minbase --include="$packages" bookworm "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
  { tail -n 20 "$work/debootstrap.log"; fail "debootstrap failed"; }
wait "$kernel_job" || { cat "$work/kernel.log"; fail "the kernel's package could not be had"; }

step "kernel and modules"
version=$(cat "$work/kernel-version")
mkdir "$work/kernel"
dpkg-deb -x "$work"/linux-image-*.deb "$work/kernel"
cp "$work/kernel/boot/vmlinuz-$version" vmlinuz
mkdir -p "$root/lib/modules"
rm -rf "$root/lib/modules/$version"
mv "$work/kernel/lib/modules/$version" "$root/lib/modules/"
chroot "$root" depmod "$version"
for module in "${required[@]}"; do
  chroot "$root" modinfo -k "$version" "$module" >/dev/null 2>&1 || fail "the kernel $version has no $module"
done
# Only what the suite needs, with what that needs: the rest is half of the image.
for module in "${modules[@]}"; do
  chroot "$root" modprobe -S "$version" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p' || true
done | sort -u >"$work/modules"
(cd "$root" && find lib/modules -name '*.ko*' -printf '/%p\n') | sed 's#^/lib/#/lib/#' | sort >"$work/all-modules"
# Families that are loaded by alias.
grep -E '/(net/netfilter/nf|net/netfilter/nft|fs/(smb|cifs|nls|fscache|netfs)|crypto/|lib/|arch/|drivers/(block|virtio|net/veth|char/hw_random))' \
  "$work/all-modules" >>"$work/modules" || true
sort -u "$work/modules" -o "$work/modules"
comm -23 "$work/all-modules" "$work/modules" | sed "s#^#$root#" | xargs -r rm -f
chroot "$root" depmod "$version"

step "initrd"
initrd=$work/initrd
mkdir -p "$initrd"/{bin,modules,proc,dev,new}
cp "$root/bin/busybox" "$initrd/bin/busybox"
: >"$initrd/order"
for name in virtio_pci virtio_blk ext4; do
  chroot "$root" modprobe -S "$version" --show-depends "$name" | sed -n 's/^insmod \([^ ]*\).*/\1/p' >"$work/needed"
  while read -r file; do
    copied=/modules/$(basename "$file")
    grep -qx "$copied" "$initrd/order" && continue
    cp "$root$file" "$initrd/modules/"
    printf '%s\n' "$copied" >>"$initrd/order"
  done <"$work/needed"
done
cat >"$initrd/init" <<'INIT'
#!/bin/busybox sh
# Finds the disk with the guest's system and becomes its first program.
/bin/busybox mount -t proc p /proc
/bin/busybox mount -t devtmpfs d /dev
while read -r module; do /bin/busybox insmod "$module"; done </order
until /bin/busybox mount -t ext4 /dev/vda /new 2>/dev/null; do /bin/busybox sleep 0.1; done
/bin/busybox mount --move /dev /new/dev
/bin/busybox umount /proc
exec /bin/busybox switch_root /new /sbin/guest-init
INIT
chmod +x "$initrd/init"
(cd "$initrd" && find . | LC_ALL=C sort | "$root/bin/busybox" cpio -o -H newc 2>/dev/null) >initrd.img

cat >"$root/sbin/guest-init" <<'INIT'
#!/bin/sh
# Mounts what every program expects, and hands over to the payload's own first program.
mount -t proc p /proc
mount -t sysfs s /sys
mount -t tmpfs t /tmp
mount -t tmpfs t /run
mkdir -p /dev/pts /dev/shm /payload
mount -t devpts d /dev/pts
mount -t tmpfs t /dev/shm
ip link set lo up
hostname guest
mount -t ext4 -o ro /dev/vdb /payload
exec /payload/init
INIT
chmod +x "$root/sbin/guest-init"
printf '127.0.0.1 localhost guest\n' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
chroot "$root" useradd -m ann

step "image"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info} "${root:?}"/boot/*
rm -f rootfs.ext4
mke2fs -q -t ext4 -O ^has_journal -L guest -d "$root" rootfs.ext4 1200M
rm -rf "$work"
step "done: $version"
